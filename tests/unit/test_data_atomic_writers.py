"""Several writers of one path: each file that appears is whole, and nothing is left behind."""

import fcntl
import os
import time
from concurrent.futures import ThreadPoolExecutor

from data_pipelines.shards import atomic
from data_pipelines.shards.atomic import TEMPORARY_SUFFIX, replacing, write_file

SIZE = 20_000


def test_two_writers_do_not_see_each_other(tmp_path):
    path = tmp_path / "file"
    with replacing(path) as first:
        first.write(b"first")
        with replacing(path) as second:
            second.write(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_readers_see_whole_files_only(tmp_path):
    path = tmp_path / "file"
    write_file(path, b"0" * SIZE)

    def write(number: int) -> None:
        for _ in range(15):
            write_file(path, str(number).encode() * SIZE)

    def read() -> set[bytes]:
        return {path.read_bytes() for _ in range(200)}

    with ThreadPoolExecutor(5) as pool:
        writers = [pool.submit(write, number) for number in range(4)]
        seen = pool.submit(read).result()
        for writer in writers:
            writer.result()
    assert all(len(content) == SIZE and len(set(content)) == 1 for content in seen)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_writer_left_goes_after_a_day_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    names = tuple(f".file.{letter * 32}" for letter in "abc")
    for name in names:
        (tmp_path / f"{name}{TEMPORARY_SUFFIX}").write_bytes(b"half")
    long_ago = time.time() - 3 * 24 * 3600
    for name in names[:2]:
        os.utime(tmp_path / f"{name}{TEMPORARY_SUFFIX}", (long_ago, long_ago))
    (tmp_path / f".mine{TEMPORARY_SUFFIX}").write_bytes(b"not of ours")
    os.utime(tmp_path / f".mine{TEMPORARY_SUFFIX}", (long_ago, long_ago))
    with (tmp_path / f"{names[1]}{TEMPORARY_SUFFIX}").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        write_file(path, b"whole")
    left = {p.name.removesuffix(TEMPORARY_SUFFIX) for p in tmp_path.iterdir()}
    assert left == {"file", ".mine", *names[1:]}


def test_a_jump_of_the_clock_takes_no_file_from_its_writer(tmp_path, monkeypatch):
    with replacing(tmp_path / "slow") as slow:
        slow.write(b"first half, ")
        later = time.time() + 30 * 24 * 3600
        monkeypatch.setattr(atomic.time, "time", lambda: later)
        atomic._looked_through.clear()  # as another process sees the folder
        write_file(tmp_path / "other", b"whole")
        slow.write(b"second half")
    assert (tmp_path / "slow").read_bytes() == b"first half, second half"


def test_a_folder_is_listed_once(tmp_path, monkeypatch):
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(atomic.os, "scandir", lambda path: listed.append(path) or scandir(path))
    for number in range(5):
        write_file(tmp_path / str(number), b"x")
    assert len(listed) == 1
