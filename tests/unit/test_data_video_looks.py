"""Looking at shards of videos: counts, strips of frames, what `data validate` finds."""

import itertools
import json

import numpy as np
import pytest
from PIL import Image

from data_pipelines.contact_sheet import write_contact_sheet
from data_pipelines.inspect import describe, inspect_shards
from data_pipelines.shards.validate import validate
from data_pipelines.sources.source import Target
from data_pipelines.sources.video import VideoSource
from data_pipelines.video.errors import MissingDecoderError
from data_pipelines.video.process import VideoProcess
from tests.support.shards import picture, write_tar
from tests.support.videos import encoded


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Two videos, one with two spans, both indexed; and four pictures of each clip."""
    root = tmp_path_factory.mktemp("looks")
    (root / "one.mp4").write_bytes(encoded("mp4", "libx264", num_frames=40))
    (root / "two.avi").write_bytes(encoded("avi", "mpeg4", num_frames=50))
    table = root / "t.csv"
    table.write_text("path,caption,start,end\none.mp4,a b,0,0.5\none.mp4,c,1,\ntwo.avi,d,,\n")
    VideoSource(path=table, probe="index").build(Target(out_dir=root / "videos"))
    VideoSource(path=table, store="frames", frames=4).build(Target(out_dir=root / "frames"))
    return root


def _shard(tmp_path, video, **fields):
    stored = json.dumps({"uid": "0" * 32, "captions": ["x"], **fields}).encode()
    return write_tar(tmp_path / "s.tar", [("a.mp4", video), ("a.json", stored)])


def test_clips_durations_and_rates_are_counted(built):
    found = inspect_shards([built / "videos"])
    assert found.problems == ()
    assert found.videos is not None
    assert found.videos[:3] == (2, 3, 0)
    assert found.videos.seconds == pytest.approx((0.5, 0.6, 2.0))
    assert found.videos.rates == (25.0, 25.0, 25.0)
    assert found.videos.frames == (40, 45, 50)
    assert found.videos.indexed == 2
    assert found.formats == {"MP4 h264": 1, "AVI mpeg4": 1}
    assert found.widths == (64, 64, 64)
    assert "videos 2, clips 3, 2 with an index of frames" in describe(found)


def test_what_json_does_not_say_is_read_from_the_video(tmp_path):
    found = inspect_shards([_shard(tmp_path, encoded("mp4", "mpeg4", num_frames=12))])
    assert found.videos is not None
    assert found.videos.frames == (12, 12, 12)
    broken = inspect_shards([_shard(tmp_path, b"<html>" * 20)])
    assert "unreadable video" in broken.problems[0]


def test_sequences_of_frames_are_counted(built):
    found = inspect_shards([built / "frames"])
    assert found.videos is not None
    assert (found.videos.videos, found.videos.sequences) == (0, 3)
    assert found.formats == {"frames JPEG": 3}


@pytest.mark.parametrize("kind", ["videos", "frames"])
def test_the_sheet_shows_strips(built, tmp_path, kind):
    """Five frames in the order of time: the bits of their numbers change from cell to cell."""
    assert write_contact_sheet([built / kind], tmp_path / "sheet.png") > 0
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    cells = [sheet[8:104, 8 + 130 * i : 136 + 130 * i].astype(int) for i in range(5)]
    assert sum(np.abs(a - b).mean() > 1 for a, b in itertools.pairwise(cells)) >= 3
    first = (tmp_path / "sheet.png").read_bytes()
    write_contact_sheet([built / kind], tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").read_bytes() == first


def test_pictures_and_videos_share_a_sheet_and_broken_videos_are_crossed_out(tmp_path):
    _shard(tmp_path, b"<html>" * 20)
    write_tar(tmp_path / "p.tar", [("b.png", picture(0)), ("b.txt", b"y")])
    assert write_contact_sheet([tmp_path], tmp_path / "sheet.png") == 2
    colours = Image.open(tmp_path / "sheet.png").convert("RGB").getcolors(1 << 24)
    assert (255, 0, 0) in {colour for _, colour in colours}


def test_whole_sets_are_valid(built):
    assert validate([built / "videos", built / "frames"]).problems == {}


def test_a_picture_beside_a_video_is_looked_at_too(tmp_path):
    video = encoded("mp4", "mpeg4", num_frames=12)
    write_tar(tmp_path / "s.tar", [("a.mp4", video), ("a.jpg", b"junk"), ("a.txt", b"x")])
    assert validate([tmp_path]).problems == {"not an image": 1}


@pytest.mark.parametrize(
    ("fields", "video", "kind"),
    [
        ({}, b"<html>" * 20, "broken video"),
        ({}, b"", "zero bytes"),
        ({"clips": [{"start": 9, "end": 10}]}, None, "span outside the video"),
        ({"clips": [{"start": 2, "end": 1}]}, None, "broken clips"),
    ],
)
def test_broken_videos_and_spans_are_found(tmp_path, fields, video, kind):
    data = encoded("mp4", "mpeg4", num_frames=12) if video is None else video
    assert validate([_shard(tmp_path, data, **fields)]).problems == {kind: 1}


def test_an_index_of_another_video_is_found(tmp_path):
    one, other = (encoded("mp4", "mpeg4", num_frames=number) for number in (12, 20))
    with VideoProcess() as process:
        index = process.make_index(other)
    for stored, kind in (
        (index, "frame index of another video"),
        (index[:-3], "broken frame index"),
    ):
        members = [("a.mp4", one), ("a.frames.index", stored), ("a.txt", b"x")]
        assert validate([write_tar(tmp_path / "s.tar", members)]).problems == {kind: 1}


def test_broken_frames_are_found(tmp_path):
    members = [("a.frame.0.png", picture(0)), ("a.frame.1.png", b"junk"), ("a.txt", b"x")]
    assert validate([write_tar(tmp_path / "s.tar", members)]).problems == {"not an image": 1}
    members = [("a.frame.0.png", picture(0)), ("a.frame.2.png", picture(1)), ("a.txt", b"x")]
    assert validate([write_tar(tmp_path / "s.tar", members)]).problems == {"broken frames": 1}


def test_no_decoder_is_no_fault_of_the_videos(tmp_path, monkeypatch):
    def missing(*_, **__):
        raise MissingDecoderError("this machine cannot read videos")

    monkeypatch.setattr(VideoProcess, "info", missing)
    with pytest.raises(MissingDecoderError):
        validate([_shard(tmp_path, b"x" * 99)])
