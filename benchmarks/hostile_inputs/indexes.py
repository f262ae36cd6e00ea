"""Indexes beside a shard that lie: in the zip, in a NumPy header, in what they say."""

import io
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.hostile_inputs.place import Hostile, Place, add_many
from data_pipelines.shards.index import store_beside

Arrays = dict[str, np.ndarray]


def _npy(header: str, data: bytes = b"", *, length: int | None = None) -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", length or len(text)) + text + data


def _changed(change: Callable[[Arrays], object]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with np.load(path) as stored:
            arrays = {name: stored[name].copy() for name in stored.files}
        change(arrays)
        np.savez(path, **arrays)
        path.with_name(path.name + ".npz").unlink(missing_ok=True)

    return make


def _member(name: str, data: bytes, kind: int = zipfile.ZIP_STORED) -> Callable[[Path], None]:
    """One array replaced by bytes of any kind."""

    def make(path: Path) -> None:
        with zipfile.ZipFile(path) as old:
            kept = {n: old.read(n) for n in old.namelist()}
        with zipfile.ZipFile(path, "w", kind) as new:
            for member, content in (kept | {f"{name}.npy": data}).items():
                new.writestr(member, content)

    return make


def _bomb(path: Path) -> None:
    zeros = io.BytesIO()
    np.save(zeros, np.zeros(1, dtype=np.int64))
    header = "{'descr': '<i8', 'fortran_order': False, 'shape': (134217728,), }"
    _member("offsets", _npy(header) + b"\0" * (1 << 29), zipfile.ZIP_DEFLATED)(path)


def _bad_deflate(path: Path) -> None:
    _member("offsets", b"x" * 5000, zipfile.ZIP_DEFLATED)(path)
    data = bytearray(path.read_bytes())
    place = data.rindex(b"offsets.npy", 0, data.index(b"PK\x01\x02")) + 11
    data[place : place + 8] = b"\xff" * 8
    path.write_bytes(bytes(data))


def _many_members(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as new:
        for number in range(60_000):
            new.writestr(f"{number}.npy", b"")


def _set(name: str, place: int, value: int) -> Callable[[Path], None]:
    def change(arrays: Arrays) -> None:
        arrays[name][place] = value

    return _changed(change)


_GIANT = "{'descr': '<i8', 'fortran_order': False, 'shape': (1152921504606846975,), }"
_NEGATIVE = "{'descr': '<i8', 'fortran_order': False, 'shape': (-5,), }"

_MADE: dict[str, Callable[[Path], object]] = {
    "count_of_minus_five": _set("stamp", 3, -5),
    "wrong_count": _set("stamp", 3, 2),
    "negative_offset": _set("offsets", 0, -512),
    "offset_beyond_the_file": _set("offsets", -1, 1 << 40),
    "offsets_that_run_over": _changed(
        lambda a: (a["offsets"].__setitem__(-1, (1 << 63) - 1), a["sizes"].__setitem__(-1, 512))
    ),
    "negative_size": _set("sizes", 0, -1),
    "one_sample_is_all": _changed(lambda a: a.update(sizes=np.full_like(a["sizes"], 1 << 31))),
    "starts_that_fall": _set("starts", 1, 10_000),
    "keys_that_lead_out": _changed(
        lambda a: a.update(key_blob=np.frombuffer(
            (b"../" * 40_000)[: len(a["key_blob"])], dtype=np.uint8))),
    "pickled_objects": _changed(
        lambda a: a.update(offsets=np.array([{"a": 1}] * len(a["offsets"]), dtype=object))),
    "a_pickle": _member("offsets", pickle.dumps({"a": 1})),
    "giant_shape": _member("offsets", _npy(_GIANT)),
    "negative_shape": _member("key_ends", _npy(_NEGATIVE)),
    "deep_header": _member("offsets", _npy("(" * 60_000)),
    "header_beyond_the_file": _member("offsets", _npy(_GIANT, length=65_535)),
    "zip_bomb": _bomb,
    "bad_deflate": _bad_deflate,
    "sixty_thousand_members": _many_members,
    "empty": lambda path: path.write_bytes(b"") and None,
    "no_zip": lambda path: path.write_bytes(b"PK\x05\x06" + b"\xff" * 18) and None,
}  # fmt: skip


def _case(name: str, words: tuple[str, ...]) -> Hostile:
    def make(place: Place) -> list[str]:
        shard = place.inputs / "a.tar"
        shutil.copyfile(next(place.sane.shards.glob("*.tar")), shard)
        index = store_beside(shard)
        _MADE[name](index)
        return [*words, str(place.inputs)]

    return make


add_many("indexes", {name: _case(name, ("data", "validate")) for name in _MADE})
add_many(
    "indexes",
    {
        f"inspect_{name}": _case(name, ("data", "inspect"))
        for name in ("wrong_count", "count_of_minus_five")
    },
)
