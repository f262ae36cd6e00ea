"""An index beside a shard that lies is said to, not used, and made anew."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data_pipelines.arrays import DamagedArraysError, read_array, read_arrays
from data_pipelines.errors import BadSampleError
from data_pipelines.shards import sidecar
from data_pipelines.shards.index import ShardIndex, store_beside, summarise
from data_pipelines.shards.shard_set import ShardSet, summaries_of
from tests.support.shards import write_tar

MEMBERS = [(f"{n}.{kind}", b"x" * (n + 1)) for n in range(4) for kind in ("png", "txt")]
Arrays = dict[str, np.ndarray]


@pytest.fixture
def shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sidecar, "_said", set())
    return write_tar(tmp_path / "a.tar", MEMBERS)


def _set(name: str, place: int, value: int) -> Callable[[Arrays], object]:
    return lambda arrays: arrays[name].__setitem__(place, value)


def _change(index: Path, change: Callable[[Arrays], object]) -> None:
    with np.load(index) as stored:
        arrays = {name: stored[name].copy() for name in stored.files}
    change(arrays)
    np.savez(index, **arrays)  # type: ignore[arg-type]


CHANGES: dict[str, Callable[[Arrays], object]] = {
    "count of -5": _set("stamp", 3, -5),
    "another count": _set("stamp", 3, 3),
    "offset below 0": _set("offsets", 0, -512),
    "offset beyond the file": _set("offsets", -1, 1 << 40),
    "sum that runs over": lambda a: (
        a["offsets"].__setitem__(-1, 2**63 - 1),
        a["sizes"].__setitem__(-1, 2**63 - 1),
    ),
    "size below 0": _set("sizes", 2, -1),
    "members in each other": _set("sizes", 0, 4000),
    "starts that fall": _set("starts", 1, 6),
    "key ends that run over": _set("key_ends", 0, 2**63 - 1),
    "suffix that is none": _set("suffix_ids", 0, 9),
    "key that leads out": lambda a: a.update(
        key_blob=np.frombuffer(b"../x", dtype=np.uint8), key_ends=np.array([1, 2, 3, 4])
    ),
    "suffix that leads out": lambda a: a.update(
        suffixes=np.frombuffer(b"png\0a/../b", dtype=np.uint8)
    ),
    "objects": lambda a: a.update(offsets=np.array([None] * 8, dtype=object)),
    "floats": lambda a: a.update(offsets=a["offsets"].astype(np.float64)),
    "no mark": lambda a: a.update(mark=np.frombuffer(b"x", dtype=np.uint8)),
    "stamp of two": lambda a: a.update(stamp=a["stamp"][:2]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_lie_is_said_once_and_the_shard_indexed_anew(
    name: str, shard: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _change(store_beside(shard), CHANGES[name])
    sidecar.sidecar_paths(shard)[-1].unlink()
    assert summarise(shard).num_samples == 4
    assert [shard_set[0].key(n) for shard_set in [_set_of(shard)] for n in range(4)] == list("0123")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith(f"warning: {shard}.index.npz is no index (")
    assert said[0].endswith("the shard is indexed anew")


def _set_of(shard: Path) -> ShardSet:
    return ShardSet([shard], summaries_of([shard]), layout_samples=100)


def test_a_lie_in_the_cache_blames_no_one(shard: Path) -> None:
    ShardIndex.open(shard)
    _change(sidecar.sidecar_paths(shard)[-1], CHANGES["another count"])
    assert len(_set_of(shard)[0]) == 4


def test_a_sound_index_is_used_in_silence(
    shard: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store_beside(shard)
    sidecar.sidecar_paths(shard)[-1].unlink()
    monkeypatch.setattr("data_pipelines.shards.index.scan", None)
    assert summarise(shard).num_samples == len(ShardIndex.open(shard)) == 4
    assert capsys.readouterr().err == ""


def _npz(data: bytes, kind: int = zipfile.ZIP_STORED, members: int = 1) -> io.BytesIO:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", kind) as archive:
        for number in range(members):
            archive.writestr("a.npy" if not number else f"{number}.npy", data)
    return stream


def _npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\0" + len(text).to_bytes(2, "little") + text + data


def _header(shape: str, kind: str = "'<i8'") -> bytes:
    return _npy(f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}")


ARRAYS = {
    "a shape of exabytes": _header("(1152921504606846975,)"),
    "a shape that runs over": _header("(4294967296, 4294967296, 4294967296)"),
    "a shape below 0": _header("(-5,)"),
    "a shape of floats": _header("(1.5,)"),
    "deep": _npy("(" * 9000),
    "code": _npy("__import__('os')"),
    "a long header": _npy(" " * 60_000),
    "objects": _header("(1,)", "'|O'"),
    "a pickle": pickle.dumps([1]),
    "nothing": b"",
    "another format": b"\x93NUMPY\x09\0" + b"\0" * 100,
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_that_are_none(name: str) -> None:
    with pytest.raises(DamagedArraysError):
        read_arrays(_npz(ARRAYS[name]), {"a": np.int64}, most_bytes=1 << 20)
    with pytest.raises(BadSampleError, match="broken array"):
        read_array(ARRAYS[name], "npy")


def test_archives_that_are_none() -> None:
    good = io.BytesIO()
    np.savez(good, a=np.arange(3))
    assert read_arrays(good, {"a": np.int64}, most_bytes=1000)["a"].tolist() == [0, 1, 2]
    whole = good.getvalue()
    bomb = _npz(_header("(1000000,)") + bytes(8_000_000), zipfile.ZIP_DEFLATED)
    for stream, why in (
        (bomb, "compressed"),
        (_npz(b"", members=60_000), "members"),
        (io.BytesIO(whole[:-30]), "cut off"),
        (io.BytesIO(b"PK\x05\x06" + b"\xff" * 18), "members"),
        (io.BytesIO(), "no npz"),
    ):
        with pytest.raises(DamagedArraysError, match=why):
            read_arrays(stream, {"a": np.int64}, most_bytes=1 << 24)
    with pytest.raises(DamagedArraysError, match="at most 10"):
        read_arrays(good, {"a": np.int64}, most_bytes=10)
    with pytest.raises(DamagedArraysError, match="no array"):
        read_arrays(good, {"b": np.int64}, most_bytes=1000)


@pytest.mark.parametrize("order", ["C", "F"])
def test_sound_arrays_are_what_numpy_reads(order: str) -> None:
    for array in (np.arange(6.0).reshape(2, 3), np.empty((0, 4)), np.array(7, dtype=np.uint8)):
        stream = io.BytesIO()
        np.save(stream, np.asarray(array, order=order))  # type: ignore[call-overload]
        assert np.array_equal(read_array(stream.getvalue(), "npy"), array)
