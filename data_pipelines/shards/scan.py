"""One walk over the headers of a tar: which samples it holds and where their bytes lie."""

import re
import tarfile
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np
from jaxtyping import Int64, UInt16

from data_pipelines.errors import ShardError

_BLOCK = 512  # bytes; the unit of the tar format
_MAX_HEADER = 1 << 20  # bytes; long names and other extended headers are far below this

# What tarfile raises for damaged headers.
_TAR_FAULTS = (tarfile.TarError, ValueError, OverflowError)

# The naming rule of WebDataset: the key ends at the first dot of the file name.
_MEMBER_NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)")
_META_NAME = re.compile(r"__[^/]*__($|/)")


class ShardLayout(NamedTuple):
    """Where the samples of one shard lie; members of sample i are the rows starts[i]:starts[i+1].

    ``key_blob`` holds all keys back to back; key i ends at byte ``key_ends[i]``.
    """

    starts: Int64[np.ndarray, " samples_plus_one"]
    offsets: Int64[np.ndarray, " members"]
    sizes: Int64[np.ndarray, " members"]
    suffix_ids: UInt16[np.ndarray, " members"]
    key_ends: Int64[np.ndarray, " samples"]
    key_blob: bytes
    suffixes: tuple[str, ...]
    problems: tuple[str, ...]


def scan(path: Path) -> ShardLayout:
    """Read every member header of ``path`` and group members into samples.

    Members of one sample share a key and are adjacent; suffixes are lower-cased. Links, devices
    and unsafe names are left out and listed in ``problems``. Of a truncated tar, the samples
    wholly before the cut are kept; the sample that the cut runs through is left out. A cut may
    fall between two members: the last sample then counts as whole if it has the same members as
    the one before it.

    Raises:
        ShardError: the file is missing, unreadable, or no uncompressed tar at all.
    """
    try:
        size = path.stat().st_size
        if size < _BLOCK:
            return _Grouping().layout([f"the file is cut short ({size} bytes)"])
        with path.open("rb") as stream:
            return _walk(path, stream, size)
    except FileNotFoundError:
        raise ShardError(f"shard {path} does not exist; check the path or pattern") from None
    except OSError as error:
        raise ShardError(f"cannot read shard {path}: {error.strerror or error}") from error


def split_member_name(name: str) -> tuple[str, str] | None:
    """Key and lower-case suffix of a member name, or None if it names no part of a sample."""
    match = _MEMBER_NAME.fullmatch(name)
    return (match.group(1), match.group(2).lower()) if match else None


class _HeaderReader:
    """A file that refuses huge reads: a hostile header may ask for gigabytes of name."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if size > _MAX_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._stream.read(size)


def _walk(path: Path, file: BinaryIO, size: int) -> ShardLayout:
    grouping = _Grouping()
    stream = cast(BinaryIO, _HeaderReader(file))
    try:
        # Opening reads the first header, which tells a tar from anything else.
        tar = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115 (stream is the caller's)
    except _TAR_FAULTS as error:
        raise ShardError(
            f"{path} is not an uncompressed tar ({error}); "
            "unpack a .tar.gz first: compressed tars cannot be read at random"
        ) from error
    damage = None
    while damage is None:
        try:
            member = tar.next()
        except _TAR_FAULTS as error:
            damage = f"header damaged near byte {tar.offset}: {error}"
            break
        if member is None:
            damage = _end_problem(file, tar.offset)
            break
        tar.members.clear()  # pyright: ignore[reportAttributeAccessIssue]  # keeps memory flat
        if member.isreg() and member.offset_data + member.size > size:
            damage = f"member {member.name!r} is cut off at byte {size}"
        grouping.add(member, whole=damage is None)
    if damage is None:
        return grouping.layout([])
    grouping.drop_last_if_partial()
    return grouping.layout([damage])


def _end_problem(stream: BinaryIO, offset: int) -> str | None:
    """None where two zero blocks mark a proper end at ``offset``."""
    stream.seek(offset)
    tail = stream.read(2 * _BLOCK)
    if len(tail) == 2 * _BLOCK and not any(tail):
        return None
    if any(tail):
        return f"header damaged near byte {offset}"
    return f"no end-of-archive mark at byte {offset} (truncated?)"


def _refusal(member: tarfile.TarInfo) -> str | None:
    """Why a member is no part of a sample: an empty reason for harmless ones, None if it is."""
    if member.isdir() or _META_NAME.match(member.name):
        return ""
    if member.issym() or member.islnk():
        return f"link {member.name!r} ignored"
    if not member.isreg() or member.issparse():
        return f"special member {member.name!r} ignored"
    parts = member.name.split("/")
    if member.name.startswith("/") or ".." in parts or "\x00" in member.name:
        return f"unsafe member name {member.name!r} ignored"
    if split_member_name(member.name) is None:
        return f"member {member.name!r} has no suffix, ignored"
    return None


class _Grouping:
    """Collects members into samples in tar order."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._offsets: list[int] = []
        self._sizes: list[int] = []
        self._suffix_ids: list[int] = []
        self._keys: list[str] = []
        self._suffixes: dict[str, int] = {}
        self._seen: set[str] = set()
        self._problems: list[str] = []
        self._cut_inside_last = False

    def add(self, member: tarfile.TarInfo, *, whole: bool) -> None:
        reason = _refusal(member)
        if reason is not None:
            if reason:
                self._problems.append(reason)
            return
        name = split_member_name(member.name)
        assert name is not None
        key, suffix = name
        if not self._keys or self._keys[-1] != key:
            if key in self._seen:
                self._problems.append(f"key {key!r} occurs in two places")
            self._seen.add(key)
            self._keys.append(key)
            self._starts.append(len(self._offsets))
        suffix_id = self._suffixes.setdefault(suffix, len(self._suffixes))
        if suffix_id in self._suffix_ids[self._starts[-1] :]:
            self._problems.append(f"second member {member.name!r} of one sample ignored")
            return
        self._cut_inside_last = not whole
        self._offsets.append(member.offset_data)
        self._sizes.append(member.size)
        self._suffix_ids.append(suffix_id)

    def drop_last_if_partial(self) -> None:
        """Leave out the last sample unless it has the same members as the one before it."""
        if not self._keys:
            return
        start = self._starts[-1]
        last = set(self._suffix_ids[start:])
        before = set(self._suffix_ids[self._starts[-2] : start]) if len(self._starts) > 1 else None
        if last == before and not self._cut_inside_last:
            return
        self._problems.append(f"sample {self._keys[-1]!r} is incomplete at the cut, left out")
        self._starts.pop()
        self._keys.pop()
        del self._offsets[start:], self._sizes[start:], self._suffix_ids[start:]

    def layout(self, damage: list[str]) -> ShardLayout:
        blobs = [key.encode("utf-8", "surrogateescape") for key in self._keys]
        return ShardLayout(
            starts=np.array([*self._starts, len(self._offsets)], dtype=np.int64),
            offsets=np.array(self._offsets, dtype=np.int64),
            sizes=np.array(self._sizes, dtype=np.int64),
            suffix_ids=np.array(self._suffix_ids, dtype=np.uint16),
            key_ends=np.cumsum([len(blob) for blob in blobs], dtype=np.int64),
            key_blob=b"".join(blobs),
            suffixes=tuple(self._suffixes),
            problems=tuple(damage + self._problems),
        )
