"""Several writers of one path: each file that appears is whole, and nothing is left behind."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

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
    for name in (".file.old", ".other.old"):
        os.utime(tmp_path / f"{name}{TEMPORARY_SUFFIX}", (long_ago, long_ago))
    write_file(path, b"whole")
    left = {p.name.removesuffix(TEMPORARY_SUFFIX) for p in tmp_path.iterdir()}
    assert left == {"file", ".file.new", ".other.old"}
