"""NumPy files of unknown make, whose headers are held against their bytes before any is read."""

import io
import math
import struct
import tokenize
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np

from data_pipelines.errors import BadSampleError

_MAX_VALUES = 2**26
_MAX_HEADER = 10_000  # bytes
_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}

# The end of a zip archive as np.savez writes it: no comment, no split, few members.
_END = struct.Struct("<4s4H2LH")
_END_MARK, _LONG_END_MARK, _LONG_END_BYTES = b"PK\x05\x06", b"PK\x06\x07", 20
_MAX_MEMBERS = 32
_MAX_DIRECTORY = 1 << 16  # bytes


class DamagedArraysError(ValueError):
    """An npz file that cannot be what it should be; says why in a few words."""


def read_array(data: bytes, name: str) -> np.ndarray:
    """A NumPy file without pickled objects.

    Args:
        name: of the member, for the message.
    Raises:
        BadSampleError: no such file, or one with objects, or too large.
    """
    try:
        return _array(io.BytesIO(data), len(data))
    except (ValueError, OSError, EOFError, *_HEADER_TROUBLE) as error:
        raise BadSampleError(
            "broken array", f"{name}: {' '.join(str(error).split())[:120]}"
        ) from error


def read_arrays(
    file: Path | io.BytesIO,
    kinds: Mapping[str, type | str],
    *,
    most_bytes: int,
    optional: Mapping[str, type | str] | None = None,
) -> dict[str, np.ndarray]:
    """Named arrays of an uncompressed npz file, each of the kind that it should be.

    Nothing is unpickled or unpacked, and no more is read than the file holds.

    Args:
        kinds: dtype by name; all of them must be there, others are left alone.
        most_bytes: of the file.
        optional: likewise, of arrays that may be missing.
    Raises:
        OSError: the file cannot be read.
        DamagedArraysError: the file is larger, compressed, cut off, or holds something else.
    """
    if isinstance(file, Path):
        with file.open("rb") as stream:
            return _read_arrays(stream, kinds, optional or {}, most_bytes)
    return _read_arrays(file, kinds, optional or {}, most_bytes)


def _read_arrays(
    stream: io.BufferedIOBase,
    kinds: Mapping[str, type | str],
    optional: Mapping[str, type | str],
    most_bytes: int,
) -> dict[str, np.ndarray]:
    try:
        size = _size(stream)
        if size > most_bytes:
            raise DamagedArraysError(f"{size:,} bytes, at most {most_bytes:,} can be right")
        _check_end(stream, size)
        with zipfile.ZipFile(stream) as archive:
            there = {n: kind for n, kind in optional.items() if f"{n}.npy" in archive.namelist()}
            wanted = {**kinds, **there}
            return {name: _member(archive, name, np.dtype(kind)) for name, kind in wanted.items()}
    except DamagedArraysError:
        raise
    except KeyError as error:
        raise DamagedArraysError(f"no array {str(error)[:60]}") from error
    except (ValueError, EOFError, zipfile.BadZipFile, *_HEADER_TROUBLE) as error:
        told = " ".join(str(error).split())[:80]
        raise DamagedArraysError(told or type(error).__name__) from error


def _size(stream: io.BufferedIOBase) -> int:
    return stream.seek(0, io.SEEK_END)


def _check_end(stream: io.BufferedIOBase, size: int) -> None:
    """Before ``zipfile`` reads a directory that may list millions of members."""
    stream.seek(max(0, size - _END.size - _LONG_END_BYTES))
    tail = stream.read(_END.size + _LONG_END_BYTES)
    if len(tail) < _END.size:
        raise DamagedArraysError("no npz file")
    mark, _, _, _, members, directory, _, _ = _END.unpack(tail[-_END.size :])
    if mark != _END_MARK or tail.startswith(_LONG_END_MARK):
        raise DamagedArraysError("no npz file, or one that is cut off")
    if members > _MAX_MEMBERS or directory > _MAX_DIRECTORY:
        raise DamagedArraysError(f"{members:,} members")


def _member(archive: zipfile.ZipFile, name: str, kind: np.dtype) -> np.ndarray:
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise DamagedArraysError(f"{name} is compressed or encrypted")
    if info.file_size != info.compress_size:
        raise DamagedArraysError(f"{name} has two sizes")
    with archive.open(info) as stream:
        array = _array(cast(io.BufferedIOBase, stream), info.file_size, most_values=info.file_size)
    if array.dtype != kind or array.ndim > 2:
        raise DamagedArraysError(f"{name} holds {array.dtype}, not {kind}")
    return array


def _array(
    stream: io.BufferedIOBase, num_bytes: int, *, most_values: int = _MAX_VALUES
) -> np.ndarray:
    """The array of a file of ``num_bytes``; nothing is allocated that its bytes do not fill."""
    version = np.lib.format.read_magic(stream)
    if version not in _READERS:
        raise ValueError(f"NumPy format {version}")
    shape, is_fortran, kind = _READERS[version](stream, max_header_size=_MAX_HEADER)
    count = math.prod(shape)
    if kind.hasobject or any(side < 0 for side in shape):
        raise ValueError("it holds objects, or less than nothing")
    if count > most_values:
        raise ValueError(f"{count:,} values are too many")
    data = stream.read(num_bytes)
    if len(data) < count * kind.itemsize:
        raise ValueError(f"{count:,} values are announced, {len(data):,} bytes are there")
    found = np.frombuffer(data, dtype=kind, count=count) if count else np.empty(0, dtype=kind)
    return found.reshape(shape, order="F" if is_fortran else "C").copy()


# Python's parser over a header of unknown make, and zipfile over fields of unknown make.
_HEADER_TROUBLE = (
    SyntaxError,
    tokenize.TokenError,
    TypeError,
    MemoryError,
    OverflowError,
    RuntimeError,
    IndexError,
    struct.error,
)
