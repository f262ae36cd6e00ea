"""Shards of sounds written as shards of pictures."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.support.omni_questions import sound
from data_pipelines.shards.index import ShardIndex
from data_pipelines.spectrogram import SpectrogramConfig, sound_picture
from vlsuite.cli.main import main


def _shard(path: Path) -> Path:
    members = {
        "0.mp3": sound(0),
        "0.json": json.dumps({"captions": {"en": "a bell", "fr": "une cloche"}}).encode(),
        "0.txt": b"a bell",
        "1.wav": sound(1),
        "1.txt": b"another member",
        "2.mp3": b"junk",
        "2.txt": b"broken",
        "3.mp3": sound(2),
        "3.txt": b"a horn",
    }
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def test_sounds_become_pictures_with_their_captions(tmp_path, capsys):
    shard = _shard(tmp_path / "clips.tar")
    words = ["data", "sounds", str(shard), "--member", "mp3", "--side", "32", "--seconds", "0.5"]
    for out in ("one", "two"):
        assert main([*words, "--languages", "fr,en", "--out", str(tmp_path / out)]) == 0
    told = capsys.readouterr().out
    assert "2 samples in 1 shard" in told
    assert "skipped 1: no member mp3" in told
    assert "skipped 1: no usable sound or caption" in told
    index = ShardIndex.open(tmp_path / "one" / "shard-000000.tar")
    first, second = (index.read(i) for i in range(2))
    assert json.loads(first["json"])["captions"] == ["une cloche", "a bell"]
    assert second["txt"] == b"a horn"
    config = SpectrogramConfig(side=32, seconds=0.5)
    shown = np.asarray(Image.open(io.BytesIO(first["png"])))
    np.testing.assert_array_equal(shown, np.asarray(sound_picture(sound(0), config)))
    for name in ("shard-000000.tar", "spectrogram.json", "manifest.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    stored = json.loads((tmp_path / "one" / "spectrogram.json").read_text())
    assert SpectrogramConfig(**stored) == config


def test_no_such_member_is_one_line(tmp_path, capsys):
    shard = _shard(tmp_path / "clips.tar")
    words = ["data", "sounds", str(shard), "--member", "flac", "--out", str(tmp_path / "out")]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert "4 x no member flac" in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()
