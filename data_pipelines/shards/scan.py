"""One walk over the headers of a tar: which samples it holds and where their bytes lie."""

import re
from io import BufferedIOBase
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt16

from data_pipelines.errors import ShardError
from data_pipelines.image_formats import FORMAT_OF_SUFFIX
from data_pipelines.shards.content_digest import ContentDigest
from data_pipelines.shards.content_mark import content_mark
from data_pipelines.shards.tar_headers import BLOCK, Header, HeaderError, find_header, read_header

#: Bytes from the first to the last member of a sample; what lies beyond is left out.
MAX_SAMPLE_BYTES = 1 << 30

_MAX_SUFFIXES = 1 << 16  # different ones in a shard; their numbers are stored in 16 bits
_MAX_NAME = 4096  # characters, as in file systems
_MAX_PROBLEMS = 1000  # lines; the rest is only counted
_LOOK_BEYOND_END = 1 << 20  # bytes

# Where one of each is present, a first sample that a cut follows counts as whole.
_IMAGES = frozenset(FORMAT_OF_SUFFIX)
_TEXTS = frozenset(("txt", "json", "cls"))

# What the mark of a shard follows from.
_MARKED = ("key_blob", "suffixes", "starts", "offsets", "sizes", "suffix_ids", "key_ends")

_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}

# The naming rule of WebDataset: the key ends at the first dot of the file name.
_MEMBER_NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)")
_META_NAME = re.compile(r"__[^/]*__($|/)")


class ShardLayout(NamedTuple):
    """Where the samples of one shard lie; members of sample i are the rows starts[i]:starts[i+1].

    ``key_blob`` holds all keys back to back; key i ends at byte ``key_ends[i]``. ``mark`` tells
    the content from that of other shards (see ``content_mark``); ``content`` also tells what was
    changed in place (see ``content_digest``), and is empty where that is not known.
    """

    starts: Int64[np.ndarray, " samples_plus_one"]
    offsets: Int64[np.ndarray, " members"]
    sizes: Int64[np.ndarray, " members"]
    suffix_ids: UInt16[np.ndarray, " members"]
    key_ends: Int64[np.ndarray, " samples"]
    key_blob: bytes
    suffixes: tuple[str, ...]
    problems: tuple[str, ...]
    mark: str = ""
    content: str = ""


def scan(path: Path) -> ShardLayout:
    """Read every member header of ``path`` and group members into samples.

    Members of one sample share a key and are adjacent; suffixes are lower-cased. Links, devices
    and unsafe names are left out and listed in ``problems``. Of a truncated tar, the samples
    wholly before the cut are kept; the sample that the cut runs through is left out. After a
    damaged header the walk goes on at the next sound one. A sample beside a cut or a damaged
    header counts as whole if it has all members that some undisturbed sample has.

    Raises:
        ShardError: the file is missing, unreadable, or no uncompressed tar at all.
    """
    try:
        size = path.stat().st_size
        if size < BLOCK:
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


def _walk(path: Path, stream: BufferedIOBase, size: int) -> ShardLayout:
    _refuse_compressed(path, stream)
    grouping = _Grouping()
    content = ContentDigest()
    damage: list[str] = []
    offset: int | None = 0
    while offset is not None:
        at, problem = offset, None
        try:
            header = read_header(stream, at)
        except HeaderError as error:
            header, problem = None, f"header damaged near byte {at}: {error}"
        if header is None:
            problem = problem or _end_problem(stream, at)
            if problem is None:
                break
            damage.append(problem)
            grouping.disturb()
            offset = find_header(stream, at + BLOCK)
        elif header.offset + header.size <= size:
            grouping.add(header)
            content.add(stream, header)
            offset = header.next
        else:
            damage.append(f"member {_shown(header.name)} is cut off at byte {size}")
            grouping.add_cut(header)
            break
    if offset is None and grouping.is_empty:
        raise ShardError(
            f"{path} is not an uncompressed tar (no sound member header); check that the file "
            "is what it should be, and fetch it again"
        )
    layout = grouping.layout(damage)
    known = {name: value for name, value in layout._asdict().items() if name in _MARKED}
    mark = content_mark(stream, **known)
    return layout._replace(mark=mark, content=content.word())


def _refuse_compressed(path: Path, stream: BufferedIOBase) -> None:
    start = stream.read(8)
    for magic, name in _COMPRESSED.items():
        if start.startswith(magic):
            raise ShardError(
                f"{path} is not an uncompressed tar ({name}); "
                "unpack it first: compressed tars cannot be read at random"
            )


def _end_problem(stream: BufferedIOBase, offset: int) -> str | None:
    """None where two zero blocks mark a proper end at ``offset`` and nothing follows."""
    stream.seek(offset)
    mark = stream.read(2 * BLOCK)
    if any(mark):
        return f"header damaged or cut off near byte {offset}"
    if len(mark) < 2 * BLOCK:
        return f"no end-of-archive mark at byte {offset} (truncated?)"
    if any(stream.read(_LOOK_BEYOND_END)):
        return f"end mark at byte {offset}, but the file goes on (zeroed, or joined tars?)"
    return None


def _refusal(member: Header) -> str | None:
    """Why a member is no part of a sample: an empty reason for harmless ones, None if it is."""
    name = member.name
    if len(name) > _MAX_NAME:  # before any pattern looks at it
        return f"member name of {len(name)} characters ignored: {_shown(name)}"
    if member.kind == "folder" or _META_NAME.match(name):
        return ""
    if member.kind != "file":
        return f"{member.kind} member {_shown(name)} ignored"
    if name.startswith("/") or ".." in name.split("/") or "\x00" in name:
        return f"unsafe member name {_shown(name)} ignored"
    if split_member_name(name) is None:
        return f"member {_shown(name)} has no suffix, ignored"
    return None


def _shown(name: str) -> str:
    return repr(name if len(name) <= 100 else f"{name[:100]}...")


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
        self._in_sample: set[int] = set()
        self._begins_at = 0  # byte, of the present sample
        self._problems: list[str] = []
        self._num_problems = 0
        self._disturbed: set[int] = set()
        self._is_disturbed = False
        self._cut: int | None = None

    @property
    def is_empty(self) -> bool:
        return not self._keys

    def add(self, member: Header) -> None:
        reason = _refusal(member)
        if reason is not None:
            if reason:
                self._report(reason)
            return
        name = split_member_name(member.name)
        assert name is not None  # _refusal has looked
        key, suffix = name
        self._begin(key, member.offset)
        suffix_id = self._suffixes.setdefault(suffix, len(self._suffixes))
        if suffix_id in self._in_sample:
            self._report(f"second member {_shown(member.name)} of one sample ignored")
        elif suffix_id >= _MAX_SUFFIXES:
            self._report(f"member {_shown(member.name)} ignored: too many different suffixes")
        elif member.offset + member.size - self._begins_at > MAX_SAMPLE_BYTES:
            self._report(
                f"member {_shown(member.name)} ignored: sample over {MAX_SAMPLE_BYTES} bytes"
            )
        else:
            self._in_sample.add(suffix_id)
            self._offsets.append(member.offset)
            self._sizes.append(member.size)
            self._suffix_ids.append(suffix_id)

    def add_cut(self, member: Header) -> None:
        """Note the sample whose member runs beyond the end of the file."""
        if _refusal(member) is None and (name := split_member_name(member.name)):
            self._begin(name[0], member.offset)
            self._cut = len(self._keys) - 1

    def disturb(self) -> None:
        """Note that members may be missing between the last one and the next one."""
        if self._keys:
            self._disturbed.add(len(self._keys) - 1)
        self._is_disturbed = True

    def _begin(self, key: str, offset: int) -> None:
        if not self._keys or self._keys[-1] != key:
            if key in self._seen:
                self._report(
                    f"key {_shown(key)} occurs in two places: members of one sample must be "
                    "neighbours (pack with tar --sort=name)"
                )
            self._seen.add(key)
            self._keys.append(key)
            self._starts.append(len(self._offsets))
            self._in_sample = set()
            self._begins_at = offset
        if self._is_disturbed:
            self._disturbed.add(len(self._keys) - 1)
            self._is_disturbed = False

    def _report(self, problem: str) -> None:
        self._num_problems += 1
        if len(self._problems) < _MAX_PROBLEMS:
            self._problems.append(problem)

    def _left_out(self) -> set[int]:
        """Samples without members, cut ones, and disturbed ones that lack usual members."""
        ends = [*self._starts[1:], len(self._offsets)]
        left_out = {i for i, start in enumerate(self._starts) if start == ends[i]}
        if not self._disturbed and self._cut is None:
            return left_out
        suffixes = list(self._suffixes)
        kinds = [
            frozenset(self._suffix_ids[start:end])
            for start, end in zip(self._starts, ends, strict=True)
        ]
        usual = {
            k for i, k in enumerate(kinds) if k and i not in self._disturbed and i != self._cut
        }
        for i in self._disturbed if self._cut is None else {*self._disturbed, self._cut}:
            names = {suffixes[j] for j in kinds[i]}
            is_whole = any(k <= kinds[i] for k in usual)
            if not usual:
                is_whole = bool(names & _IMAGES and names & _TEXTS)
            if i == self._cut or not is_whole:
                self._report(
                    f"sample {_shown(self._keys[i])} is incomplete at the damage, left out"
                )
                left_out.add(i)
        return left_out

    def _drop(self, left_out: set[int]) -> None:
        ends = [*self._starts[1:], len(self._offsets)]
        kept = [i for i in range(len(self._keys)) if i not in left_out]
        rows = [row for i in kept for row in range(self._starts[i], ends[i])]
        counts = [ends[i] - self._starts[i] for i in kept]
        self._starts = np.cumsum([0, *counts]).tolist()[:-1]
        self._keys = [self._keys[i] for i in kept]
        self._offsets = [self._offsets[row] for row in rows]
        self._sizes = [self._sizes[row] for row in rows]
        self._suffix_ids = [self._suffix_ids[row] for row in rows]

    def layout(self, damage: list[str]) -> ShardLayout:
        left_out = self._left_out()
        if left_out:
            self._drop(left_out)
        problems = damage[:_MAX_PROBLEMS] + self._problems
        unsaid = len(damage) + self._num_problems - len(problems)
        if unsaid:
            problems.append(f"and {unsaid} more problems")
        blobs = [key.encode("utf-8", "surrogateescape") for key in self._keys]
        return ShardLayout(
            starts=np.array([*self._starts, len(self._offsets)], dtype=np.int64),
            offsets=np.array(self._offsets, dtype=np.int64),
            sizes=np.array(self._sizes, dtype=np.int64),
            suffix_ids=np.array(self._suffix_ids, dtype=np.uint16),
            key_ends=np.cumsum([len(blob) for blob in blobs], dtype=np.int64),
            key_blob=b"".join(blobs),
            suffixes=tuple(list(self._suffixes)[:_MAX_SUFFIXES]),
            problems=tuple(problems),
        )
