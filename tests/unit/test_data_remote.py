"""Shards on remote storage: found, cached under a bound, tried again, read like local ones."""

import io
import multiprocessing
import os
import pickle
import time
from itertools import islice

import fsspec
import pytest
import torch
from fsspec.implementations.local import LocalFileSystem

from data_pipelines.errors import DataError, ShardError
from data_pipelines.shards import remote
from data_pipelines.shards.index import ShardIndex, store_beside
from data_pipelines.shards.read_ahead import ReadAhead
from data_pipelines.shards.remote import CachedShard, find_remote
from data_pipelines.shards.shard_cache import ShardCache
from data_pipelines.shards.shard_set import ShardSet, find, summaries_of
from data_pipelines.sources.source import Target
from data_pipelines.sources.synthetic import SyntheticSource
from tests.support.shards import write_tar
from tests.support.words import word_tokenizer
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.end_of_text import EndOfText
from vlsuite.batches.pair_shards import PairShards
from vlsuite.batches.pairs import PairReader
from vlsuite.batches.stream import Place, TrainStream
from vlsuite.batches.transforms import AugmentConfig, TrainTransform

SIZE = 10_240  # bytes of each small tar
CALLS: list[str] = []


class FlakyFileSystem(LocalFileSystem):
    """Local files under flaky://, whose first openings fail, as the file "faults" says."""

    protocol = "flaky"
    cachable = False

    @classmethod
    def _strip_protocol(cls, path):
        return LocalFileSystem._strip_protocol(str(path).removeprefix("flaky://"))

    def unstrip_protocol(self, name):
        return f"flaky://{name}"

    def _open(self, path, mode="rb", **kwargs):
        CALLS.append(path)
        faults = os.path.join(os.path.dirname(path), "faults")
        if path.endswith(".tar") and os.path.exists(faults):
            with open(faults) as stream:
                left = int(stream.read())
            if left:
                with open(faults, "w") as stream:
                    stream.write(str(left - 1))
                raise ConnectionError("the server went away\nfor a moment")
        return super()._open(path, mode, **kwargs)


fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)


@pytest.fixture(autouse=True)
def _quick(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(remote, "FIRST_WAIT", 0.01)
    CALLS.clear()


@pytest.fixture
def folder(tmp_path):
    for number in range(6):
        members = [(f"{number}-{i}.txt", f"{number} {i}".encode()) for i in range(4)]
        path = write_tar(tmp_path / "far" / f"s-{number:03d}.tar", members)
        assert path.stat().st_size == SIZE
    return tmp_path / "far"


@pytest.fixture
def cache(tmp_path):
    return ShardCache(folder=tmp_path / "near", max_bytes=3 * SIZE)


def _files(cache):
    return sorted(p.name[-9:] for p in (cache.folder / "files").glob("*.tar"))


def test_remote_shards_read_like_local_ones(folder, cache):
    local = [[*ShardIndex.open(path)] for path in sorted(folder.glob("*.tar"))]
    for path in folder.glob("*.npz"):
        path.unlink()
    for pattern in ("s-{000..005}.tar", "s-*.tar", "", "{s-*,nothing*}.tar"):
        shards = find(f"flaky://{folder}/{pattern}", cache)
        assert [shard.url.rpartition("/")[2] for shard in shards] == [
            f"s-{number:03d}.tar" for number in range(6)
        ]
    opened = pickle.loads(  # noqa: S301
        pickle.dumps(ShardSet(shards, summaries_of(shards), layout_samples=100))
    )
    assert opened.lengths == [4] * 6
    assert [[*opened[number]] for number in range(6)] == local
    assert opened.name(2) == "s-002.tar"
    assert [opened[number].read(3) for number in range(6)] == [rows[3][1] for rows in local]


def test_memory_filesystem_and_its_protocol_prefix(tmp_path, folder, cache):
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/s-000.tar", (folder / "s-000.tar").read_bytes())
    (shard,) = find("memory://bucket/s-*.tar", cache)
    assert shard.url == "memory:///bucket/s-000.tar"
    assert ShardIndex.open(shard).read(1) == {"txt": b"0 1"}
    memory.rm("/bucket", recursive=True)


def test_errors_that_pass_are_tried_again(folder, cache):
    (folder / "faults").write_text("2")
    (shard,) = find(f"flaky://{folder}/s-000.tar", cache)
    assert ShardIndex.open(shard).read(0) == {"txt": b"0 0"}
    assert sum(path.endswith(".tar") for path in CALLS) == 3


def test_errors_that_stay_are_one_line(folder, cache):
    (folder / "faults").write_text("1000")
    (shard,) = find(f"flaky://{folder}/s-000.tar", cache)
    with pytest.raises(ShardError, match=r"after 5 tries: the server went away for a moment"):
        ShardIndex.open(shard)
    assert not list((cache.folder / "files").glob("*s-000*"))


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("nowhere://bucket/s-{0..3}.tar", "package"),
        ("https://example.org/s-*.tar", "web servers list no files"),
        ("flaky:///nowhere/s-{000..002}.tar", "s-00"),
        ("flaky:///nowhere/s-*.tar", "no shard"),
        ("memory://bucket/s-{0..3.tar", "no shard|braces|cannot read"),
    ],
)
def test_mistakes_are_one_line(pattern, message):
    with pytest.raises(ShardError, match=message) as caught:
        find_remote(pattern)
    assert "\n" not in str(caught.value)


def test_least_recently_used_shards_make_room(folder, cache):
    shards = find(f"flaky://{folder}/s-*.tar", cache)
    for number in (0, 1, 2):
        shards[number].fetch()
        time.sleep(0.01)  # times of use differ
    shards[0].fetch()
    shards[3].fetch()
    assert _files(cache) == ["s-000.tar", "s-002.tar", "s-003.tar"]
    small = ShardCache(folder=cache.folder / "small", max_bytes=100)
    with pytest.raises(DataError, match=r"data\.cache_gb"):
        find(f"flaky://{folder}/s-000.tar", small)[0].fetch()


def test_a_shard_that_leaves_the_cache_while_read_comes_back(folder, cache):
    shards = find(f"flaky://{folder}/s-*.tar", cache)
    index = ShardIndex.open(shards[0])
    assert index.read(0) == {"txt": b"0 0"}
    shards[0].path.unlink()
    assert index.read(1) == {"txt": b"0 1"}  # the file is still open
    assert not shards[0].path.exists()
    ShardIndex.open(shards[1])  # gives up deleted files
    assert index.read(2) == {"txt": b"0 2"}
    assert shards[0].path.exists()


def test_rest_of_a_killed_download_is_cleared(folder, cache):
    (cache.folder / "files").mkdir(parents=True)
    rest = cache.folder / "files" / "00000000-s-009.tar.part"
    rest.write_bytes(bytes(2 * SIZE))
    shards = find(f"flaky://{folder}/s-*.tar", cache)
    for number in (0, 1):
        shards[number].fetch()
    assert not rest.exists()
    assert _files(cache) == ["s-000.tar", "s-001.tar"]


def test_a_short_file_in_the_cache_is_not_trusted(folder, cache):
    (shard,) = find(f"flaky://{folder}/s-000.tar", cache)
    shard.fetch()
    os.truncate(shard.path, 5000)
    assert shard.fetch().stat().st_size == SIZE


def test_changed_shard_is_another_file(folder, cache):
    (before,) = find(f"flaky://{folder}/s-000.tar", cache)
    assert len(ShardIndex.open(before)) == 4
    write_tar(folder / "s-000.tar", [("a.txt", b"new")])
    os.utime(folder / "s-000.tar", (1, 1))
    (after,) = find(f"flaky://{folder}/s-000.tar", cache)
    assert after.path != before.path
    assert [*ShardIndex.open(after)] == [("a", {"txt": b"new"})]


def test_sidecar_beside_the_shard_saves_the_download(folder, cache):
    expected = ShardIndex.open(folder / "s-000.tar").keys
    store_beside(folder / "s-000.tar")
    (shard,) = find(f"flaky://{folder}/s-000.tar", cache)
    assert ShardIndex.open(shard).keys == expected
    assert not shard.path.exists()
    (folder / "s-000.tar.index.npz").unlink()
    assert ShardIndex.open(shard).keys == expected
    assert not shard.path.exists()


def test_two_processes_download_a_shard_once_and_keep_the_bound(folder, cache, tmp_path):
    shards = find(f"flaky://{folder}/s-*.tar", cache)
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(2)
    others = [
        context.Process(target=_read_all, args=(shards, barrier, tmp_path / f"calls-{number}"))
        for number in range(2)
    ]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
    assert [other.exitcode for other in others] == [0, 0]
    calls = [(tmp_path / f"calls-{number}").read_text().split() for number in range(2)]
    first = [call for part in calls for call in part if call.endswith("s-000.tar")]
    assert len(first) == 1
    assert sum(p.stat().st_size for p in (cache.folder / "files").iterdir()) <= cache.max_bytes


def _read_all(shards, barrier, calls):
    CALLS.clear()
    barrier.wait(30)
    shards[0].fetch()
    barrier.wait(30)
    calls.write_text("\n".join(CALLS))
    for _ in range(3):
        for number, shard in enumerate(shards):
            assert ShardIndex.open(shard).read(2) == {"txt": f"{number} 2".encode()}
            used = sum(_size(p) for p in shard.path.parent.iterdir())
            assert used <= shard.cache.max_bytes


def _size(path):
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def test_shards_are_fetched_ahead_within_the_bound(folder, tmp_path):
    cache = ShardCache(folder=tmp_path / "near", max_bytes=5 * SIZE)
    shards = find(f"flaky://{folder}/s-*.tar", cache)
    ahead = ReadAhead(shards)
    assert ahead.is_needed
    assert not ReadAhead([folder / "s-000.tar"]).is_needed
    ahead.want([5, 4, 3, 2, 1, 0])
    deadline = time.monotonic() + 20
    while len(_files(cache)) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert _files(cache) == [f"s-{number:03d}.tar" for number in (2, 3, 4, 5)]


def test_training_on_remote_storage_is_training_on_local_files(tmp_path):
    """Thirteen shards through a cache that holds five, with two workers."""
    local = tmp_path / "pairs"
    SyntheticSource(num_samples=130, side=16).build(Target(out_dir=local, max_samples=10))
    sizes = [path.stat().st_size for path in local.glob("*.tar")]
    settings = {"cache_dir": str(tmp_path / "near"), "cache_gb": 5 * max(sizes) / 1e9}
    near = DataConfig(train=(str(local),), num_workers=0)
    far = DataConfig(train=(f"flaky://{local}/*.tar",), num_workers=2, **settings)
    expected, found = _first_batches(near), _first_batches(far)
    assert [batch.uids for batch in found] == [batch.uids for batch in expected]
    assert all(torch.equal(a.images, b.images) for a, b in zip(found, expected, strict=True))
    assert not any(batch.skipped for batch in found)
    stored = list((tmp_path / "near" / "files").glob("*.tar"))
    assert 0 < len(stored) <= 5


def _first_batches(config):
    stream = TrainStream(
        config,
        PairShards.open(config),
        place=Place(rank=0, world_size=1, global_batch_size=16, micro_batch_size=16),
        reader=PairReader(
            transform=TrainTransform(AugmentConfig(), size=(16, 16), interpolation="bicubic"),
            tokenizer=word_tokenizer(),
            end_of_text=EndOfText() if config.trim_text else None,
            caption=config.caption,
        ),
        seed=0,
        pin_memory=False,
    )
    return [batch for step in islice(stream.from_position(0), 18) for batch in step]


def test_training_set_on_remote_storage(folder, tmp_path):
    config = DataConfig(
        train=(f"flaky://{folder}/s-*.tar",), cache_dir=str(tmp_path / "near"), cache_gb=1e-4
    )
    shards = PairShards.open(config)
    assert shards.num_samples == 24
    assert shards.source_names == ("far",)
    assert isinstance(shards.shard_set.shards[0], CachedShard)


@pytest.mark.parametrize("size", [-5, 1 << 80, "many", True, 1.5])
def test_impossible_sizes_are_one_line(size):
    with pytest.raises(ShardError, match="size"):
        remote._described("http://user:word@h/a.tar", {"size": size})


def test_a_server_that_sends_without_end_fills_no_disk(tmp_path, monkeypatch):
    class Endless:
        def open(self, *_args, **_kwargs):
            return open("/dev/zero", "rb")

    monkeypatch.setattr(remote, "_filesystem", lambda url: (Endless(), url))
    (tmp_path / "copy").touch()
    with pytest.raises(EOFError, match="arrived of 1000"):
        remote._copy("x://a.tar", tmp_path / "copy", 1000)
    assert (tmp_path / "copy").stat().st_size <= 1000


def test_an_index_beside_a_shard_is_not_read_beyond_reason(folder, cache):
    paths = sorted(folder.glob("*.tar"))
    for path in paths:
        store_beside(path).write_bytes(b"x" * (64 << 20))
    shards = find(f"flaky://{folder}/*.tar", cache)
    assert len(ShardIndex.open(shards[0])) == 4
    assert not any(path.endswith(".npz") for path in CALLS)


class _TroubleError(Exception):
    """As aiohttp's errors of answers; connection troubles have no status."""

    def __init__(self, status: int | None) -> None:
        super().__init__("Service Unavailable")
        self.status = status


class _Web:
    """As fsspec's file system of web servers: everything that fails is "not found"."""

    def __init__(self, statuses: list[int | None], address: str = "") -> None:
        self.statuses, self.address, self.openings = statuses, address, []

    def info(self, path):
        if self.statuses:
            raise FileNotFoundError(path) from _TroubleError(self.statuses.pop(0))
        return {"size": 4, "ETag": "1", "url": self.address or path}

    def open(self, path, mode, *, block_size):
        self.openings.append(block_size)
        return io.BytesIO(b"tars")


def test_a_web_server_in_trouble_is_asked_again_and_one_without_the_file_is_not(monkeypatch):
    url = "https://host/a.tar"
    web = _Web([503, 429, None])
    monkeypatch.setattr(remote, "_filesystem", lambda url: (web, url))
    assert [shard.url for shard in find_remote(url)] == [url]
    for status in (404, 403, 302):
        web.statuses = [status, 503]
        with pytest.raises(ShardError, match=r"Service Unavailable; check the address"):
            find_remote(url)
        assert web.statuses == [503]


def test_a_redirect_to_an_address_without_encryption_is_refused(monkeypatch):
    web = _Web([], address="http://other/a.tar")
    monkeypatch.setattr(remote, "_filesystem", lambda url: (web, url))
    with pytest.raises(ShardError, match=r"leads to http://other/a\.tar"):
        find_remote("https://host/a.tar")
    assert find_remote("http://host/a.tar")


def test_a_web_server_is_asked_for_the_whole_at_once(monkeypatch, tmp_path):
    """Parts put together may be anything: some servers answer each with the beginning."""
    web = _Web([])
    monkeypatch.setattr(remote, "_filesystem", lambda url: (web, url))
    target = tmp_path / "copy"
    target.write_bytes(b"0000")
    remote._copy("http://host/a.tar", target, 4)
    assert target.read_bytes() == b"tars"
    assert web.openings == [0]
