"""Validation finds each kind of damage and says where."""

import pytest

from data_pipelines.errors import ShardError
from data_pipelines.shards.validate import validate
from data_pipelines.shards.write import write_benchmark, write_pairs
from tests.support.shards import (
    SHARED_DATA,
    needs_shared_data,
    picture,
    sample,
    samples,
    write_tar,
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_what_we_write_is_valid(tmp_path):
    write_pairs(samples(5), tmp_path / "train", max_samples=2)
    write_benchmark([sample(0, label=0)], tmp_path / "bench", class_names=["a"])
    report = validate([tmp_path])
    assert report.is_valid, report.problems
    assert (report.num_shards, report.num_samples, report.num_without_uid) == (4, 6, 0)
    assert report.num_shared == 1


def test_each_problem_is_counted_with_its_place(tmp_path):
    path = write_tar(
        tmp_path / "s.tar",
        [
            ("good.png", picture(0)),
            ("good.txt", b"good"),
            ("cut.png", picture(1, side=40)[:300]),
            ("cut.txt", b"cut"),
            ("html.jpg", b"<html>"),
            ("html.txt", b"html"),
            ("renamed.png", picture(2, format="JPEG")),
            ("renamed.txt", b"renamed"),
            ("alone.txt", b"no image"),
            ("silent.png", picture(3)),
            ("latin.png", picture(4)),
            ("latin.txt", b"caf\xe9"),
            ("label.png", picture(5)),
            ("label.cls", b"cat"),
            ("bell.png", picture(6)),
            ("bell.txt", b"ding\x07"),
            ("broken.png", picture(7)),
            ("broken.json", b"{"),
            ("first.png", picture(8)),
            ("first.json", b'{"uid": "same", "captions": ["x"]}'),
            ("second.png", picture(9)),
            ("second.json", b'{"uid": "same", "captions": ["x"]}'),
            ("blank.png", picture(10)),
            ("blank.cls", b"3"),
            ("blank.txt", b" "),
        ],
    )
    report = validate([path])
    assert report.num_samples == 13
    assert report.problems == {
        "broken caption": 2,
        "broken image": 1,
        "broken label": 1,
        "control characters in a caption": 1,
        "empty caption": 1,
        "no caption and no label": 1,
        "no image": 1,
        "not an image": 1,
        "suffix of another format": 1,
        "uid repeated in its folder": 1,
    }
    assert report.examples["broken image"][0].startswith(f"{path}: cut: ")
    assert report.num_without_uid == 11


def test_truncation_and_changed_bytes_are_found(tmp_path):
    manifest = write_pairs(samples(6), tmp_path, max_samples=3)
    first, second = (tmp_path / shard.name for shard in manifest.shards)
    first.write_bytes(first.read_bytes()[:3000])
    content = bytearray(second.read_bytes())
    content[520] ^= 1
    second.write_bytes(content)
    report = validate([tmp_path])
    assert report.problems["differs from its manifest"] == 2
    assert report.problems["damaged shard"] >= 1


def test_unreadable_shards_do_not_end_the_validation(tmp_path):
    write_tar(tmp_path / "good.tar", [("a.png", picture(0)), ("a.txt", b"a")])
    (tmp_path / "zipped.tar").write_bytes(b"PK" * 600)
    report = validate([tmp_path])
    assert report.problems == {"unreadable shard": 1}
    assert report.num_samples == 1
    with pytest.raises(ShardError, match="no shard"):
        validate([tmp_path / "nothing"])


@needs_shared_data
@pytest.mark.parametrize("name", ["clipart-000004.tar", "stamps-000000.tar"])
def test_real_shards_are_valid(name):
    report = validate([SHARED_DATA / name])
    assert report.is_valid, report.problems
