"""`data build video`: folders, tables with times, cut clips, pictures; everything is counted."""

import io
import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from data_pipelines.errors import ConfigError, DataError
from data_pipelines.schema import make_uid
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.stored_sample import StoredSample
from data_pipelines.skips import Skips
from data_pipelines.sources.source import Target
from data_pipelines.sources.video import VideoSource
from data_pipelines.video.errors import MissingDecoderError
from data_pipelines.video.frame_index import FrameIndex
from data_pipelines.video.process import VideoProcess
from data_pipelines.video.reader import VideoReader
from tests.support.videos import encoded, number_shown


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Forty frames of H.264 in mp4, fifty of MPEG-4 in avi, a broken and a cut one."""
    root = tmp_path_factory.mktemp("videos")
    (root / "a").mkdir()
    (root / "a" / "one.mp4").write_bytes(encoded("mp4", "libx264", num_frames=40))
    (root / "two.AVI").write_bytes(encoded("avi", "mpeg4", num_frames=50))
    (root / "bad.mp4").write_bytes(b"<html>" * 50)
    (root / "cut.mp4").write_bytes((root / "a" / "one.mp4").read_bytes()[:900])
    (root / "empty.mp4").write_bytes(b"")
    return root


def _read(source):
    skips = Skips()
    return list(source.samples(skips)), skips


def _table(tmp_path, *rows):
    table = tmp_path / "spans.csv"
    table.write_text("path,caption,start,end\n" + "".join(f"{row}\n" for row in rows))
    return table


def _stored(sample):
    fields = {**sample.provenance, "uid": sample.uid, "captions": list(sample.captions)}
    members = {sample.image_suffix: sample.image, **sample.members}
    return StoredSample(sample.uid, {**members, "json": json.dumps(fields).encode()})


def test_a_folder_keeps_the_files_as_they_are(videos, tmp_path):
    root = tmp_path / "v"
    for path in videos.rglob("*.*"):
        own = root / path.relative_to(videos)
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_bytes(path.read_bytes())
        own.with_suffix(".txt").write_text("first\n\n second \n")
    (root / "readme.md").write_text("x")
    found, skips = _read(VideoSource(path=root))
    data = (root / "a" / "one.mp4").read_bytes()
    assert [sample.image_suffix for sample in found] == ["avi", "mp4"]
    assert found[1].image == data
    assert found[1].captions == ("first", "second")
    assert found[1].uid == make_uid("video", "a/one.mp4", data)
    told = found[1].provenance["video"]
    assert told == {
        "frames": 40,
        "duration": 1.6,
        "fps": 25.0,
        "width": 64,
        "height": 48,
        "codec": "h264",
    }
    assert skips.counts == {
        "broken video": 1,
        "not a video file": 1,
        "truncated video": 1,
        "zero bytes": 1,
    }
    unseen, _ = _read(VideoSource(path=root, probe="none"))
    assert len(unseen) == 4


def test_class_folders_are_labels(videos):
    source = VideoSource(path=videos, captions="folder", template="people who {c}")
    found, skips = _read(source)
    assert [(one.captions, one.label) for one in found] == [(("people who a",), 0)]
    assert source.class_names() == ["a"]
    assert skips.counts == {"not in a class folder": 4}


def test_spans_refer_to_one_video(videos, tmp_path):
    table = _table(
        tmp_path,
        "a/one.mp4,begins,0,0.4",
        "a/one.mp4,ends,0:00:00.8,",
        "a/one.mp4,all of it,,",
        "a/one.mp4,begins too,0,0.4",
        "two.AVI,late,77,78",
        "two.AVI,whole,,",
        "gone.mp4,x,,",
        "two.AVI,backwards,2,1",
        "two.AVI,when,soon,1",
        "two.AVI,,1,2",
    )
    found, skips = _read(VideoSource(path=table, videos=videos))
    clips = [_stored(sample).clips for sample in found]
    assert [[(c.start, c.end, c.caption) for c in own] for own in clips] == [
        [
            (0.0, None, "all of it"),
            (0.0, 0.4, "begins"),
            (0.8, None, "ends"),
            (0.0, 0.4, "begins too"),
        ],
        [(0.0, None, "whole")],
    ]
    assert found[0].captions == ("all of it", "begins", "ends", "begins too")
    assert skips.counts == {
        "empty caption": 1,
        "missing video file": 1,
        "span outside the video": 1,
        "times that are none": 2,
    }


def test_cut_clips_hold_the_frames_of_their_spans(videos, tmp_path):
    """Exact: the frames show their numbers; the times are those of the original."""
    table = _table(tmp_path, "a/one.mp4,x,0.4,0.8", "a/one.mp4,y,0.4,0.8", "a/one.mp4,z,1.2,")
    found, _ = _read(VideoSource(path=table, videos=videos, cut=True))
    assert [sample.captions for sample in found] == [("x", "y"), ("z",)]
    for sample, numbers in zip(found, (range(10, 20), range(30, 40)), strict=True):
        with VideoReader.open(sample.image) as reader:
            frames = reader.frames(range(len(reader)))
            np.testing.assert_allclose(reader.starts, np.arange(10) / 25, atol=1e-4)
        assert [number_shown(frame) for frame in frames] == list(numbers)
    again, _ = _read(VideoSource(path=table, videos=videos, cut=True))
    assert [one.image for one in again] == [one.image for one in found]


def test_uneven_times_and_odd_sides_are_kept_when_cut(tmp_path):
    times = [0, 40, 200, 240, 900, 940, 1000]
    data = encoded("matroska", "ffv1", num_frames=7, times=times, pix_fmt="bgr0")
    (tmp_path / "v.mkv").write_bytes(data)
    table = _table(tmp_path, "v.mkv,x,0.2,0.95")
    (sample,), _ = _read(VideoSource(path=table, cut=True))
    with VideoReader.open(sample.image) as reader:
        assert [number_shown(frame) for frame in reader.frames(range(len(reader)))] == [2, 3, 4, 5]
        np.testing.assert_allclose(reader.starts, [0, 0.04, 0.7, 0.74], atol=1e-4)


def test_pictures_of_a_span_are_those_of_the_sampler(videos, tmp_path):
    table = _table(tmp_path, "a/one.mp4,x,0.4,0.8", "two.AVI,y,,")
    source = VideoSource(path=table, videos=videos, store="frames", frames=4, side=24, quality=95)
    found, _ = _read(source)
    frames = _stored(found[0]).frames
    assert frames is not None
    assert [Image.open(io.BytesIO(one.data)).size for one in frames.images] == [(32, 24)] * 4
    with VideoProcess() as process:
        expected = process.sample((videos / "a/one.mp4").read_bytes(), 4, span=(0.4, 0.8))
    assert found[0].provenance["frames"] == {
        **expected.sampling.to_json(),
        "numbers": list(expected.numbers),
        "seconds": [round(second, 6) for second in expected.seconds],
        "start": 0.4,
        "end": 0.8,
    }
    assert found[0].image == frames.images[2].data
    for one, pixels in zip(frames.images, expected.frames, strict=True):
        small = Image.fromarray(pixels).resize((32, 24), Image.Resampling.BICUBIC)
        difference = np.asarray(Image.open(io.BytesIO(one.data)), float) - np.asarray(small, float)
        assert np.abs(difference).mean() < 4


def test_an_index_lies_beside_the_video_and_reaches_the_clip(videos, tmp_path):
    table = _table(tmp_path, "a/one.mp4,x,0.4,0.8", "a/one.mp4,y,,")
    (sample,), _ = _read(VideoSource(path=table, videos=videos, probe="index"))
    for clip in _stored(sample).clips:
        assert len(FrameIndex.from_bytes(clip.index).table) == 40
        with VideoReader.open(clip.data, index=clip.index) as reader:
            assert number_shown(reader.frames([33])[0]) == 33
            assert reader.uses_index


def test_a_build_is_the_same_twice_and_says_how_videos_are_stored(videos, tmp_path):
    table = _table(tmp_path, "a/one.mp4,x,0.4,0.8", "two.AVI,y,,")
    for name in ("first", "second"):
        source = VideoSource(path=table, videos=videos, store="frames", frames=2)
        manifest = source.build(Target(out_dir=tmp_path / name))
    first, second = (
        (tmp_path / name / "shard-000000.tar").read_bytes() for name in ("first", "second")
    )
    assert first == second
    assert manifest.origin.details["sampler"] == "segments"
    assert manifest.origin.details["frames"] == 2
    index = ShardIndex.open(tmp_path / "first" / "shard-000000.tar")
    assert sorted(index.read(0)) == ["frame.0.jpg", "frame.1.jpg", "jpg", "json", "txt"]


def test_no_decoder_is_one_line_before_anything_is_written(videos, tmp_path, monkeypatch):
    def missing(_):
        raise MissingDecoderError("this machine cannot read videos")

    monkeypatch.setattr(VideoProcess, "check", missing)
    with pytest.raises(MissingDecoderError):
        VideoSource(path=videos, captions="name").build(Target(out_dir=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frames": 4}, "--store frames"),
        ({"store": "frames", "cut": True}, "drop --cut"),
        ({"cut": True, "probe": "none"}, "drop --probe"),
        ({"moments": True}, "--moments says nothing about a folder of videos; drop it"),
        ({"video_column": "x"}, "--video-column says nothing"),
        ({"videos": Path(".")}, "--videos says nothing"),
        ({"only": "train"}, "--only says nothing"),
        ({"store": "frames", "quality": 99}, "--quality"),
    ],
)
def test_settings_that_contradict_one_another(tmp_path, settings, message):
    with pytest.raises(ConfigError, match=message):
        VideoSource(path=tmp_path, **settings)


def test_paths_that_are_not_there(tmp_path):
    for path in (tmp_path / "gone", tmp_path / "gone.csv"):
        with pytest.raises(DataError, match=r"gone.* does not exist; check the path"):
            VideoSource(path=path)
    with pytest.raises(DataError, match="gone does not exist, or is a file; check the path"):
        VideoSource(path=tmp_path / "gone", format="folder")
    table = _table(tmp_path, "a.mp4,x,,")
    with pytest.raises(DataError, match="check --videos"):
        VideoSource(path=table, videos=tmp_path / "gone")


def test_sound_stays_in_a_whole_video_and_is_dropped_when_cut(tmp_path):
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as output:
        video = output.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        sound = output.add_stream("aac", rate=16000)
        for number in range(20):
            picture = np.full((32, 32, 3), 10 * number, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            output.mux(video.encode(frame))
        quiet = av.AudioFrame.from_ndarray(np.zeros((1, 32000), "f4"), "fltp", "mono")
        quiet.sample_rate = 16000
        output.mux(sound.encode(quiet))
        output.mux([*video.encode(), *sound.encode()])
    (tmp_path / "v.mp4").write_bytes(stream.getvalue())
    table = _table(tmp_path, "v.mp4,x,0.5,1")
    kinds = []
    for cut in (False, True):
        (sample,), _ = _read(VideoSource(path=table, cut=cut))
        with av.open(io.BytesIO(sample.image)) as container:
            kinds.append([one.type for one in container.streams])
    assert kinds == [["video", "audio"], ["video"]]
