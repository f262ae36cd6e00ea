"""Stored samples to clips: frames, spans, pictures, captions, and the same view for all frames."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from data_pipelines.errors import BadSampleError
from data_pipelines.shards.stored_sample import StoredSample
from tests.support.clip_shards import moving_square
from tests.support.words import CONTEXT_LENGTH, word_tokenizer_folder
from vlsuite.batches.clips import ClipReader
from vlsuite.batches.curriculum import FrameCurriculum
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.sample_reader import BatchFacts, PlacedReader
from vlsuite.batches.tokenizer import load_tokenizer
from vlsuite.batches.transforms import AugmentConfig, TrainTransform

SIDE = 16


def reader(*stages: str, augment: AugmentConfig | None = None, caption: str = "random"):
    whole = AugmentConfig(crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0))
    return ClipReader(
        transform=TrainTransform(augment or whole, size=(SIDE, SIDE), interpolation="bilinear"),
        tokenizer=load_tokenizer(
            "tests", context_length=CONTEXT_LENGTH, folder=str(word_tokenizer_folder())
        ),
        data=DataConfig(caption=caption),  # type: ignore[arg-type]
        curriculum=FrameCurriculum.parsed(stages or ("4",)),
        end_of_text=None,
    )


def gray_frames(count: int, *, side: int = SIDE) -> dict[str, bytes]:
    """Frame i has the gray value 10 i."""
    members = {"txt": b"a red circle"}
    for number in range(count):
        stream = io.BytesIO()
        Image.new("RGB", (side, side), (10 * number,) * 3).save(stream, "PNG")
        members[f"frame.{number}.png"] = stream.getvalue()
    return members


def numbers(content) -> list[int]:
    return [int(frame.float().mean().round()) // 10 for frame in content.frames]


def read(reader, members, *, seed: int = 0):
    return reader.read(StoredSample("key", members), np.random.default_rng(seed)).content


class TestFrames:
    def test_one_of_each_stretch_in_order_and_every_one_can_be_drawn(self):
        seen = [set(), set(), set(), set()]
        for seed in range(60):
            found = numbers(read(reader("4"), gray_frames(8), seed=seed))
            for stretch, number in enumerate(found):
                assert number // 2 == stretch
                seen[stretch].add(number)
        assert seen == [{0, 1}, {2, 3}, {4, 5}, {6, 7}]

    def test_fewer_frames_than_asked_for_are_repeated(self):
        assert numbers(read(reader("4"), gray_frames(2))) == [0, 0, 1, 1]

    def test_the_curriculum_goes_by_the_place_in_training(self):
        ours = reader("1x100", "4")
        assert isinstance(ours, PlacedReader)
        sample = StoredSample("key", gray_frames(8))
        lengths = [
            len(ours.at(place).read(sample, np.random.default_rng(0)).content.frames)
            for place in (0, 99, 100)
        ]
        assert lengths == [1, 1, 4]

    def test_an_array_of_frames(self):
        stream = io.BytesIO()
        np.save(stream, np.full((5, SIDE, SIDE, 3), 50, dtype=np.uint8))
        content = read(reader("2"), {"txt": b"x", "frames.npy": stream.getvalue()})
        assert numbers(content) == [5, 5]

    def test_all_frames_of_a_clip_get_one_view(self):
        """Random crops, mirroring and colours; equal frames stay equal."""
        augment = AugmentConfig(
            crop_scale=(0.3, 0.6), flip_probability=0.5, color_jitter=0.5, grayscale_probability=0.5
        )
        one = moving_square(3, 1, side=32)[0]
        members = {"txt": b"x"} | {f"frame.{n}.png": one for n in range(4)}
        views = set()
        for seed in range(8):
            frames = read(reader("4", augment=augment), members, seed=seed).frames
            assert all(torch.equal(frames[0], frame) for frame in frames)
            views.add(frames[0].numpy().tobytes())
        assert len(views) == 8

    def test_frames_of_different_sizes_are_refused(self):
        members = gray_frames(2) | {"frame.1.png": gray_frames(2, side=8)["frame.1.png"]}
        with pytest.raises(BadSampleError, match="frames of different sizes"):
            read(reader("2"), members)


class TestPictures:
    def test_a_picture_is_a_clip_of_one_frame(self):
        content = read(reader("8"), {"txt": b"x", "png": moving_square(0, 1)[0]})
        assert len(content.frames) == 1

    def test_neither_is_counted(self):
        with pytest.raises(BadSampleError, match="no image"):
            read(reader("8"), {"txt": b"x"})


class TestBatch:
    def test_clips_and_pictures_together(self):
        ours = reader("4")
        contents = [
            read(ours, gray_frames(8)),
            read(ours, {"txt": b"a blue square", "png": moving_square(0, 1)[0]}),
        ]
        facts = BatchFacts(uids=("a", "b"), sources=(0, 1), skipped=(), mended=())
        batch = ours.collate(contents, facts)
        assert batch.num_frames == (4, 1)
        assert batch.frames.shape == (5, 3, SIDE, SIDE)
        assert batch.token_ids.shape == (2, CONTEXT_LENGTH)
        preprocess = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
        pixels = batch.pixels(preprocess, device=torch.device("cpu"), dtype=torch.float32)
        torch.testing.assert_close(pixels, (batch.frames / 255 - 0.5) / 0.25)

    def test_captions_are_drawn_or_the_first(self):
        members = gray_frames(1) | {"json": json.dumps({"captions": ["one", "two"]}).encode()}
        drawn = {read(reader("1"), members, seed=seed).said.text for seed in range(20)}
        assert drawn == {"one", "two"}
        first = {read(reader("1", caption="first"), members, seed=s).said.text for s in range(20)}
        assert first == {"one"}
