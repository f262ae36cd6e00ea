"""Clips stored as frames, and shards that are found to hold clips."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from data_pipelines.video.frame_index import SUFFIX as INDEX_SUFFIX
from data_pipelines.video.reader import make_index
from data_pipelines.video.sampler import mirrored_frames, segment_frames
from eval.data.set_kinds import kind_of
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.report.build import build_report
from eval.results import save_result
from eval.running.selection import benchmarks_for
from eval.task_choices import TaskChoices
from eval.video.open_set import Videos
from eval.video.options import VideoOptions
from tests.support.clip_shards import write_clips, write_pictures
from tests.support.embedding_model import SmallClip
from tests.support.motion import motion_clips
from tests.support.motion import write_clips as write_motion
from tests.support.shards import write_tar
from vlsuite.cli.main import main

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=4, workers=1))


def _frames(count, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 24, 24, 3), dtype=np.uint8)


def _png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


def _npy(pixels):
    stream = io.BytesIO()
    np.save(stream, pixels)
    return stream.getvalue()


@pytest.fixture
def packed(tmp_path):
    """Four clips of six frames, two of them as one array, and one that is broken."""
    members, every = [], [_frames(6, seed) for seed in range(4)]
    for number, frames in enumerate(every):
        key, twin = f"clip{number}", number ^ 1
        if number < 2:
            members += [(f"{key}.frame.{i}.png", _png(one)) for i, one in enumerate(frames)]
            members.append((f"{key}.jpg", _png(frames[3])))
        else:
            members.append((f"{key}.frames.npy", _npy(frames)))
        said = {"captions": [f"says {number}"], "contrast": f"says {twin}", "kind": "order"}
        members.append((f"{key}.json", json.dumps(said | {"pair": f"p{number // 2}"}).encode()))
    members += [("bad.frame.0.png", b"no picture"), ("bad.txt", b"broken")]
    return write_tar(tmp_path / "packed" / "packed-000000.tar", members).parent, every


def _run(folder, task, model, **options):
    choices = TaskChoices(options=(VideoOptions(**options),), num_examples=2)
    (one,) = benchmarks_for([str(folder)], tasks=[task], choices=choices)
    return one.run(model, EMBEDDER)


def _mean(model, frames, numbers):
    pixels = [model.image_transform(Image.fromarray(frames[number])) for number in numbers]
    embeds = model.embed_images(torch.stack(pixels)).double().mean(dim=0)
    return (embeds / embeds.norm()).numpy()


def test_stored_frames_are_sampled_as_a_video_of_theirs(packed, tmp_path):
    folder, every = packed
    model = SmallClip()
    result = _run(folder, "video_order", model, frames=(4,))
    numbers = mirrored_frames(6, 4)
    hits = []
    for number, frames in enumerate(every):
        own = _mean(model, frames, numbers)
        texts = model.embed_texts([f"says {number}", f"says {number ^ 1}"]).double().numpy()
        hits.append(own @ texts[0] > own @ texts[1])
    assert result.scores["accuracy"].value == pytest.approx(np.mean(hits))
    assert result.details["stored_frames"] == [1, 6]
    assert result.details["pairs"] == 2
    assert result.num_samples == 4
    assert result.details["left_out"]["video cannot be decoded"] == 1
    retrieval = _run(folder, "video_retrieval", model, frames=(3,))
    videos = np.stack([_mean(model, frames, segment_frames(6, 3)) for frames in every])
    texts = model.embed_texts([f"says {i}" for i in range(4)]).double().numpy()
    right = (texts @ videos.T).argmax(axis=1) == np.arange(4)
    assert retrieval.scores["text_to_video_recall_at_1"].value == pytest.approx(right.mean())
    assert all(example.right.image for example in retrieval.examples)
    save_result(retrieval, tmp_path / "r" / "small__clips__all__1.json")
    assert "data:image/jpeg" in build_report(tmp_path / "r").read_text()


def test_shards_of_clips_are_found_without_a_task(packed, tmp_path):
    folder, _ = packed
    motion = write_motion(tmp_path / "motion", motion_clips(4, num_frames=8, side=32))
    for path in (folder, motion, next(motion.glob("*.tar")), f"{motion}/*.tar"):
        assert kind_of(str(path)) is Videos
    (one,) = benchmarks_for([str(motion)])
    assert one.name == "video_order"
    plain = write_clips(tmp_path / "plain", 4)
    (one,) = benchmarks_for([str(plain)])
    assert one.name == "video_retrieval"


def test_other_shards_are_not(tmp_path):
    pictures = write_pictures(tmp_path / "pictures", 2)
    both = write_tar(tmp_path / "b.tar", [("a.jpg", b"1"), ("a.mp4", b"2"), ("c.mp4", b"3")])
    later = write_tar(tmp_path / "l.tar", [("a.jpg", b"1"), ("b.mp4", b"2")])
    (tmp_path / "no.tar").write_bytes(b"no tar" * 200)
    empty = write_tar(tmp_path / "empty.tar", [])
    for path in (pictures, both, later, tmp_path / "no.tar", empty, tmp_path / "gone.tar", "x"):
        assert kind_of(str(path)) is not Videos


def test_an_index_beside_a_video_gives_the_same(tmp_path):
    members = []
    for number, clip in enumerate(motion_clips(4, num_frames=8, side=32)):
        members.append((f"{number}.mp4", clip.image))
        members.append((f"{number}.txt", clip.captions[0].encode()))
    plain = write_tar(tmp_path / "plain" / "v.tar", members)
    for number in range(4):
        data = dict(members)[f"{number}.mp4"]
        # The index of another video is not used.
        index = make_index(data) if number else make_index(dict(members)["1.mp4"])
        members.append((f"{number}.{INDEX_SUFFIX}", index))
    indexed = write_tar(tmp_path / "indexed" / "v.tar", sorted(members))
    one, other = (
        _run(path, "video_retrieval", SmallClip(), frames=(3,)) for path in (plain, indexed)
    )
    assert one.scores == other.scores
    assert other.num_samples == 4


def test_what_data_build_video_packs_is_evaluated(tmp_path, capsys):
    videos = tmp_path / "videos"
    videos.mkdir()
    for number, clip in enumerate(motion_clips(4, num_frames=8, side=32)):
        (videos / f"{number}.mp4").write_bytes(clip.image)
        (videos / f"{number}.txt").write_text(f"{clip.captions[0]}\n")
    out = tmp_path / "packed"
    built = ["data", "build", "video", str(videos), "--out", str(out)]
    assert main([*built, "--store", "frames", "--frames", "4"]) == 0
    capsys.readouterr()
    result = _run(out, "auto", SmallClip(), frames=(8,))
    assert result.benchmark == "video_retrieval"
    assert result.num_samples == 4
    assert result.details["stored_frames"] == [4, 4]
