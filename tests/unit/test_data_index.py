"""Random access to shards: grouping, hostile and damaged tars, the sidecar."""

import io
import os
import pickle
import shutil
import tarfile

import numpy as np
import pytest
import webdataset

from data_pipelines.errors import ShardError
from data_pipelines.shards.handles import FileHandles
from data_pipelines.shards.index import ShardIndex, store_beside
from data_pipelines.shards.scan import scan
from data_pipelines.shards.shard_set import ShardSet, summaries_of
from data_pipelines.shards.sidecar import Summary, sidecar_paths
from tests.support.shards import SHARED_DATA, needs_shared_data, picture, write_tar

MEMBERS = [
    ("a/one.jpg", b"1"),
    ("a/one.TXT", b"first"),
    ("two.png", b""),
    ("two.seg.png", b"mask"),
    ("two.json", b"{}"),
]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def shard(tmp_path):
    return write_tar(tmp_path / "data" / "shard.tar", MEMBERS)


def test_members_are_grouped_by_the_rule_of_webdataset(shard):
    index = ShardIndex.open(shard)
    assert index.keys == ["a/one", "two"]
    assert index.read(0) == {"jpg": b"1", "txt": b"first"}
    assert index.read(1) == {"png": b"", "seg.png": b"mask", "json": b"{}"}
    assert index.suffixes(1) == ["png", "seg.png", "json"]
    assert index.problems == ()
    with pytest.raises(IndexError):
        index.read(2)
    with pytest.raises(IndexError):
        index.read(-1)


def test_second_opening_uses_the_sidecar(shard, monkeypatch):
    first = ShardIndex.open(shard)
    monkeypatch.setattr("data_pipelines.shards.index.scan", _must_not_run)
    again = ShardIndex.open(shard)
    assert again.keys == first.keys
    assert again.read(1) == first.read(1)


def test_sidecar_of_a_changed_shard_is_not_trusted(shard):
    ShardIndex.open(shard)
    write_tar(shard, [("new.txt", b"x"), *MEMBERS])
    assert ShardIndex.open(shard).keys == ["new", "a/one", "two"]


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04broken"])
def test_broken_sidecar_is_rebuilt(shard, content):
    keys = ShardIndex.open(shard).keys
    for sidecar in (sidecar_paths(shard)[-1], store_beside(shard)):
        assert sidecar.exists()
        sidecar.write_bytes(content)
        assert ShardIndex.open(shard).keys == keys


def test_the_index_lies_in_the_cache_unless_asked_for_beside_the_shard(shard, tmp_path):
    assert len(ShardIndex.open(shard)) == 2
    summaries_of([shard])
    assert [path.name for path in shard.parent.iterdir()] == ["shard.tar"]
    assert len(list((tmp_path / "cache" / "vlsuite" / "index").iterdir())) == 1
    assert store_beside(shard) == shard.with_name("shard.tar.index.npz")


def test_an_index_beside_the_shard_is_used_and_a_stale_one_left_as_it_is(shard, monkeypatch):
    names = [ShardIndex.open(shard).name(i) for i in range(2)]
    beside = store_beside(shard)
    sidecar_paths(shard)[-1].unlink()
    with monkeypatch.context() as patch:
        patch.setattr("data_pipelines.shards.index.scan", _must_not_run)
        assert [ShardIndex.open(shard).name(i) for i in range(2)] == names
        assert summaries_of([shard])[0].mark == ShardIndex.open(shard).layout.mark
    old = beside.read_bytes()
    write_tar(shard, [("new.txt", b"x"), *MEMBERS])
    assert len(ShardIndex.open(shard)) == 3
    assert beside.read_bytes() == old


def test_an_index_cannot_be_written_into_a_read_only_folder(shard):
    shard.parent.chmod(0o555)
    try:
        with pytest.raises(ShardError, match="permissions"):
            store_beside(shard)
    finally:
        shard.parent.chmod(0o755)


def test_missing_file_and_compressed_tar_are_errors(tmp_path, shard):
    with pytest.raises(ShardError, match="does not exist"):
        ShardIndex.open(tmp_path / "absent.tar")
    compressed = tmp_path / "shard.tar.gz"
    with tarfile.open(compressed, "w:gz") as tar:
        tar.addfile(_entry("x.png", 9000), io.BytesIO(picture(0, side=60)[:9000]))
    with pytest.raises(ShardError, match="not an uncompressed tar"):
        ShardIndex.open(compressed)


def test_iteration_gives_what_reading_by_number_gives(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    members = [
        (f"{i}.{suffix}", rng.bytes(int(rng.integers(0, 4000))))
        for i in range(40)
        for suffix in ("jpg", "txt")
    ]
    index = ShardIndex.open(write_tar(tmp_path / "s.tar", members))
    expected = [(index.key(i), index.read(i)) for i in range(40)]
    for size in (1, 5000, 1 << 22):
        monkeypatch.setattr("data_pipelines.shards.index.READ_SIZE", size)
        assert list(index) == expected
    assert list(ShardIndex.open(write_tar(tmp_path / "empty.tar", []))) == []


def test_both_ways_with_webdataset(tmp_path):
    rows = [
        {"__key__": f"s{i}", "jpg": bytes([i] * 50), "txt": f"text {i}".encode()} for i in range(9)
    ]
    path = tmp_path / "theirs.tar"
    with webdataset.TarWriter(str(path)) as writer:
        for row in rows:
            writer.write(row)
    ours = [{"__key__": key, **members} for key, members in ShardIndex.open(path)]
    assert ours == rows
    theirs = webdataset.WebDataset([str(path)], shardshuffle=False)
    assert [{name: row[name] for name in ("__key__", "jpg", "txt")} for row in theirs] == ours


def test_a_set_opens_from_one_file_and_notices_changes(tmp_path, monkeypatch):
    paths = [write_tar(tmp_path / "d" / f"{i:03d}.tar", MEMBERS) for i in range(40)]
    os.truncate(paths[7], 4700)  # no end mark
    first = summaries_of(paths)
    assert [summary.num_samples for summary in first] == [
        len(scan(path).starts) - 1 for path in paths
    ]
    assert [number for number, summary in enumerate(first) if summary.problems] == [7]
    (store,) = (tmp_path / "cache" / "vlsuite" / "sets").glob("*.npz")

    with monkeypatch.context() as patch:
        patch.setattr("data_pipelines.shards.shard_set.summarise", _must_not_run)
        assert summaries_of(paths) == first
        assert len(_set(paths)[39]) == 2

    write_tar(paths[3], [("new.txt", b"x"), *MEMBERS])
    again = scan(paths[3])
    assert summaries_of(paths) == [
        *first[:3],
        Summary(3, (), again.mark, again.content),
        *first[4:],
    ]
    for content in (b"", b"no zip", store.read_bytes()[:300]):
        store.write_bytes(content)
        assert summaries_of(paths)[3].num_samples == 3
    paths[5].unlink()
    with pytest.raises(ShardError, match=r"005\.tar"):
        summaries_of(paths)


def test_replaced_shard_is_refused_while_the_set_is_in_use(tmp_path):
    paths = [write_tar(tmp_path / f"{i}.tar", MEMBERS) for i in range(2)]
    opened = _set(paths)
    write_tar(paths[1], MEMBERS[:2])
    assert len(opened[0]) == 2
    with pytest.raises(ShardError, match="replaced meanwhile"):
        opened[1]


def test_open_layouts_are_bounded(tmp_path):
    paths = [write_tar(tmp_path / f"{i}.tar", MEMBERS) for i in range(8)]
    opened = pickle.loads(pickle.dumps(_set(paths, layout_samples=6)))  # noqa: S301
    first = opened[0]
    assert opened[0] is first
    for number in range(8):
        assert opened[number].path == paths[number]
    assert opened[7] is opened[7]
    assert opened[0] is not first


def test_hostile_members_are_counted_and_left_out(tmp_path):
    path = tmp_path / "hostile.tar"
    with tarfile.open(path, "w") as tar:
        for name, kind in (("l.png", tarfile.SYMTYPE), ("d.png", tarfile.CHRTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type = kind
            entry.linkname = "/etc/passwd"
            tar.addfile(entry)
        folder = tarfile.TarInfo("folder.png")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name in ("../up.png", "/root.png", "nosuffix", "__meta__", "good.png", "good.png"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    index = ShardIndex.open(path)
    assert index.keys == ["good"]
    assert len(index.problems) == 6
    assert sum("unsafe" in line for line in index.problems) == 2


def test_key_in_two_places_is_reported(tmp_path):
    path = write_tar(tmp_path / "s.tar", [("a.png", b"1"), ("b.png", b"2"), ("a.txt", b"3")])
    index = ShardIndex.open(path)
    assert index.keys == ["a", "b", "a"]
    assert "two places" in index.problems[0]


def test_every_cut_of_a_tar_is_noticed_and_loses_only_the_cut_sample(tmp_path):
    members = [(f"{i}.{s}", bytes([65 + i]) * 700) for i in range(4) for s in ("png", "txt")]
    path = write_tar(tmp_path / "whole.tar", members)
    whole = path.read_bytes()
    end = 4 * 2 * (512 + 1024)
    for cut in [*range(0, end, 256), end - 1, end, end + 1, end + 512, end + 1023]:
        path.write_bytes(whole[:cut])
        layout = scan(path)
        assert layout.problems, f"cut at {cut} went unnoticed"
        num_whole = (cut + 324) // 3072  # data of 700 bytes is padded to 1,024
        assert len(layout.key_ends) == num_whole, f"cut at {cut}"
    path.write_bytes(whole[: end + 1024])
    assert scan(path).problems == ()


def test_damaged_header_is_a_problem_and_costs_one_sample(tmp_path):
    path = write_tar(tmp_path / "s.tar", [(f"{i}.png", b"x" * 600) for i in range(4)])
    content = bytearray(path.read_bytes())
    content[2 * 1536 : 2 * 1536 + 100] = b"\xff" * 100
    path.write_bytes(content)
    layout = scan(path)
    assert ShardIndex(path, layout).keys == ["0", "1", "3"]
    assert "damaged" in layout.problems[0]


def test_header_that_asks_for_gigabytes_is_refused(tmp_path):
    header = tarfile.TarInfo("x")
    header.type = tarfile.XHDTYPE
    header.size = 1 << 40
    path = write_tar(tmp_path / "s.tar", [("a.png", b"1"), ("b.png", b"2")])
    start = path.read_bytes()[:2048]
    path.write_bytes(start + header.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    layout = scan(path)
    assert "a header of" in layout.problems[0]
    assert len(layout.key_ends) == 2


def test_shard_that_shrinks_after_indexing_is_an_error(shard):
    index = ShardIndex.open(shard)
    os.truncate(shard, 100)
    with pytest.raises(ShardError, match="changed since"):
        index.read(1)


def test_index_survives_pickling_and_fork(shard):
    index = ShardIndex.open(shard)
    expected = index.read(0)
    assert pickle.loads(pickle.dumps(index)).read(0) == expected  # noqa: S301 (our own bytes)
    child = os.fork()
    if child == 0:
        os._exit(0 if index.read(0) == expected else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_few_descriptors_serve_many_shards(shard, tmp_path):
    paths = [shutil.copy(shard, tmp_path / f"{i}.tar") for i in range(8)]
    handles = FileHandles(limit=2)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    for _ in range(2):
        assert {handles.read(path, offset=512, size=1) for path in paths} == {b"1"}
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) <= before + 2


@needs_shared_data
@pytest.mark.parametrize(
    ("name", "count", "suffixes"),
    [
        ("cifar10-train-000000.tar", 10_000, ["jpg", "cls", "txt"]),
        ("clipart-000004.tar", 118, ["png", "txt", "json"]),
        ("stamps-000000.tar", 785, ["png", "txt", "speech.ogg", "json"]),
        ("imagenet-samples-000000.tar", 1_000, ["jpg", "txt", "json"]),
    ],
)
def test_shards_of_strangers_are_indexed(name, count, suffixes):
    index = ShardIndex.open(SHARED_DATA / name)
    assert len(index) == count
    assert index.suffixes(0) == suffixes
    assert index.problems == ()
    assert set(index.read(count - 1)) == set(index.suffixes(count - 1))


def _set(paths, layout_samples=1000):
    return ShardSet(paths, summaries_of(paths), layout_samples=layout_samples)


def _entry(name, size):
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry


def _must_not_run(path):
    raise AssertionError(f"{path} was walked again")
