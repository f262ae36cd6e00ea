"""Edits of pictures with an object cut out: what is composed, and the drops against a loop."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from data_pipelines.errors import BadSampleError
from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.data.raw_image import RawImage
from eval.data.views import FrameView
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.robustness.edit_backgrounds import blurred_around, noise
from eval.robustness.edit_frames import SIDE, EditFrame, cut_out
from eval.robustness.edits import REFERENCE, ObjectEdits, edits_for
from eval.task_choices import Companions, TaskChoices
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import noise_png, write_evaluation_folder, write_tar
from tests.support.pictures import encoded

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=8, workers=2))
NAMES = ("cat", "dog", "boat")
TEMPLATES = ("a photo of a {c}.",)


def _object(number: int) -> bytes:
    """A bright shape on transparency, not in the middle; another for each number."""
    colour = np.random.default_rng(number).integers(60, 256, size=3).tolist()
    picture = Image.new("RGBA", (48, 32), (0, 0, 0, 0))
    ImageDraw.Draw(picture).rectangle((4, 3, 15 + number % 9, 26), fill=(*colour, 255))
    return encoded(picture)


def _dataset(root: Path, count: int = 12) -> EvalDataset:
    samples = [{"png": _object(i), "cls": str(i % 3).encode()} for i in range(count)]
    folder = write_evaluation_folder(root, samples, class_names=NAMES, templates=TEMPLATES)
    return open_dataset(str(folder))


def _seen(frame: EditFrame, number: int = 0) -> tuple[int, int, int, int]:
    """Bounding box of the object on black."""
    frame = EditFrame(
        background="black", scale=frame.scale, position=frame.position, angle=frame.angle
    )
    box = frame.compose(RawImage({"png": _object(number)}, 7)).convert("L").getbbox()
    assert box is not None
    return box


@pytest.mark.parametrize("scale", [1.0, 0.6, 0.1])
def test_size_is_the_share_of_the_side(scale: float) -> None:
    left, top, right, bottom = _seen(EditFrame(scale=scale))
    # The rectangle is 12 by 24 pixels.
    assert bottom - top == pytest.approx(scale * SIDE, abs=1.5)
    assert right - left == pytest.approx(scale * SIDE / 2, abs=1.5)
    assert left + right == pytest.approx(SIDE, abs=2)
    assert top + bottom == pytest.approx(SIDE, abs=2)


@pytest.mark.parametrize(
    ("position", "corner"),
    [
        ("top_left", (0, 0)),
        ("top_right", (1, 0)),
        ("bottom_left", (0, 1)),
        ("bottom_right", (1, 1)),
    ],
)
def test_positions_are_corners(position: str, corner: tuple[int, int]) -> None:
    box = _seen(EditFrame(position=position))
    assert box[2 * corner[0]] == pytest.approx(SIDE * corner[0], abs=1)
    assert box[1 + 2 * corner[1]] == pytest.approx(SIDE * corner[1], abs=1)


@pytest.mark.parametrize("angle", [45, 90, 135, 180, 225, 270, 315])
def test_turned_object_keeps_its_size_and_stays_in_view(angle: int) -> None:
    left, top, right, bottom = _seen(EditFrame(angle=angle))
    cos, sin = abs(np.cos(np.radians(angle))), abs(np.sin(np.radians(angle)))
    height, width = 0.6 * SIDE, 0.3 * SIDE
    assert bottom - top == pytest.approx(height * cos + width * sin, abs=4)
    assert right - left == pytest.approx(height * sin + width * cos, abs=4)
    assert min(left, top) > 0
    assert max(right, bottom) < SIDE


def test_half_transparent_edges_keep_the_colour_of_the_object() -> None:
    picture = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    picture.paste((200, 40, 90, 128), (2, 2, 6, 6))
    cut = np.asarray(cut_out(RawImage({"png": encoded(picture)}, 1)))
    assert cut.shape == (4, 4, 4)
    # Rounding to whole numbers on white and back costs up to 1 of 255 over alpha 0.5.
    assert np.abs(cut.astype(int) - [200, 40, 90, 128]).max() <= 1


def test_mask_beside_an_opaque_picture() -> None:
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (10, 20, 30, 50))
    members = {"png": noise_png(3, side=64), "mask.png": encoded(mask)}
    cut = cut_out(RawImage(members, 1))
    assert cut.size == (20, 30)
    inside = Image.open(io.BytesIO(members["png"])).crop((10, 20, 30, 50))
    assert np.array_equal(np.asarray(cut)[..., :3], np.asarray(inside))


def test_own_background_has_nothing_of_the_object() -> None:
    picture = Image.new("RGB", (96, 96), (20, 120, 220))
    picture.paste((255, 0, 0), (30, 30, 70, 70))
    mask = np.zeros((96, 96), dtype=np.float32)
    mask[30:70, 30:70] = 1
    # Resizing mixes pixels at the rim of the mask; those count as object.
    blurred = np.asarray(blurred_around(picture, mask, 96)).astype(int)
    assert np.abs(blurred - [20, 120, 220]).max() <= 2
    with pytest.raises(BadSampleError, match="covers the whole"):
        blurred_around(picture, np.ones_like(mask), 96)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_noise_falls_with_frequency_as_asked(exponent: float) -> None:
    gray = np.asarray(noise(256, exponent, seed=(1, 2)), dtype=np.float64).mean(axis=2)
    power = np.abs(np.fft.fft2(gray - gray.mean())) ** 2
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256)))
    bands = [(0.02, 0.03), (0.08, 0.12)]
    low, high = (power[(radius >= a) & (radius < b)].mean() for a, b in bands)
    # Amplitude over a factor of 4 in frequency; clipping and few waves blur the exponent.
    assert np.log(low / high) / (2 * np.log(4)) == pytest.approx(exponent, abs=0.2)
    again = noise(64, exponent, seed=(1, 2))
    assert np.array_equal(np.asarray(again), np.asarray(noise(64, exponent, seed=(1, 2))))
    assert not np.array_equal(np.asarray(again), np.asarray(noise(64, exponent, seed=(1, 3))))


def test_drops_equal_a_loop(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path / "objects", count=6)
    backgrounds = open_dataset(
        str(write_tar(tmp_path / "b.tar", [{"png": noise_png(i)} for i in range(5)])), task="images"
    )
    request = TaskChoices(companions=Companions(backgrounds=backgrounds))
    model = SmallClip(seed=4)
    task = ObjectEdits.build(dataset, request)
    assert "other_picture" in {edit.name for edit in task.edits}
    assert "blurred_own" not in {edit.name for edit in task.edits}

    result = task.run(model, EMBEDDER)

    prototypes = EMBEDDER.class_embeds(model, NAMES, TEMPLATES).double()

    def hits(frame: EditFrame) -> list[bool]:
        right = []
        for row in range(len(dataset)):
            image_id = int(dataset.images.image_ids[row])
            picture = RawImage(dataset.images.members(row), image_id)
            embed = model.embed_images(model.image_transform(frame.compose(picture))[None])[0]
            right.append(int(torch.argmax(prototypes @ embed.double())) == row % 3)
        return right

    before = hits(REFERENCE)
    assert result.scores["top1_unedited"].value == np.mean(before)
    sizes = []
    for edit in task.edits:
        drop = np.mean(before) - np.mean(hits(edit.frame))
        score = result.scores[f"drop_{edit.group}_{edit.name}"]
        assert score.value == pytest.approx(drop)
        assert score.low <= score.value <= score.high
        assert score.unit == "points"
        sizes += [drop] if edit.group == "size" else []
    assert result.scores["mean_drop_size"].value == pytest.approx(np.mean(sizes))
    stored = StoredEmbedder(EMBEDDER, tmp_path / "store", batch_size=8)
    assert task.run(model, stored).scores == result.scores


def test_pictures_without_an_object_are_counted(tmp_path: Path) -> None:
    samples = [{"png": _object(0), "cls": b"0"}, {"png": noise_png(1), "cls": b"1"}]
    folder = write_evaluation_folder(tmp_path / "x", samples, class_names=NAMES)
    dataset = open_dataset(str(folder))
    result = ObjectEdits.build(dataset, TaskChoices()).run(SmallClip(), EMBEDDER)
    assert (result.num_samples, result.num_skipped) == (1, 1)
    assert result.details["left_out"] == {"no mask, empty mask or broken image": 1}


def test_data_without_objects_is_refused(tmp_path: Path) -> None:
    samples = [{"png": noise_png(0), "cls": b"0"}]
    folder = write_evaluation_folder(tmp_path / "x", samples, class_names=NAMES)
    lack = ObjectEdits.missing(open_dataset(str(folder)), TaskChoices())
    assert lack is not None
    assert "has no objects cut out" in lack


def test_frames_are_told_apart() -> None:
    frames = [REFERENCE, *(edit.frame for edit in edits_for(None, own_background=True))]
    assert len({frame.key for frame in frames}) == len(set(frames)) == len(frames)
    assert FrameView(REFERENCE).key == REFERENCE.key
