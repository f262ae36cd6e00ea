"""The headers of a tar, read without trust: every fault is one exception, no read is unbounded.

Formats: POSIX ustar and pax (IEEE 1003.1-2017, "pax Interchange Format"), GNU long names and
base-256 sizes, and the older V7. Python's tarfile is not used for this: up to 3.11.13 it runs
forever on some hostile sizes and pax headers (CVE-2025-8194, CVE-2024-6232).
"""

import re
from io import BufferedIOBase
from typing import Literal, NamedTuple

BLOCK = 512  # bytes; the unit of the tar format
_MAX_EXTENSION = 1 << 20  # bytes; long names and pax records are far below this
_MAX_EXTENSIONS = 16  # before one member
_CHUNK = 1 << 20  # bytes read at a time while searching

_OCTAL = re.compile(rb" *([0-7]*) *")
_DIGITS = re.compile(rb"[0-9]{1,19}")
_ZEROS = bytes(BLOCK)

Kind = Literal["file", "folder", "link", "special"]
_KINDS: dict[bytes, Kind] = {b"0": "file", b"\0": "file", b"7": "file", b"5": "folder"}
_KINDS |= {b"1": "link", b"2": "link"}
_WITHOUT_DATA = frozenset((b"1", b"2", b"3", b"4", b"5", b"6"))


class HeaderError(Exception):
    """A header that no tar writer makes, or that asks for too much."""


class Header(NamedTuple):
    """One member: its data are ``size`` bytes from ``offset``; ``next`` is where to read on.

    Undecodable bytes of ``name`` are kept as lone surrogates (PEP 383).
    """

    name: str
    kind: Kind
    offset: int
    size: int
    next: int


class _Extension:
    """What the headers before a member say about it."""

    def __init__(self) -> None:
        self.name: bytes | None = None
        self.size: int | None = None
        self.is_sparse = False


def read_header(stream: BufferedIOBase, offset: int) -> Header | None:
    """The member whose first header lies at byte ``offset``.

    None where a zero block stands there, or less than one block is left.

    Raises:
        HeaderError: it is damaged, or makes no sense.
    """
    extension = _Extension()
    for _ in range(_MAX_EXTENSIONS):
        stream.seek(offset)
        block = stream.read(BLOCK)
        if len(block) < BLOCK or block == _ZEROS:
            return None
        if not _checksum_fits(block):
            raise HeaderError("wrong checksum")
        flag, size, data = block[156:157], _number(block[124:136]), offset + BLOCK
        if flag not in b"LKxXg":
            return _member(stream, block, extension, flag=flag, size=size, data=data)
        if size > _MAX_EXTENSION:
            raise HeaderError(f"a header of {size} bytes")
        _extend(extension, flag, stream.read(size), size)
        offset = data + _padded(size)
    raise HeaderError(f"more than {_MAX_EXTENSIONS} extended headers before one member")


def find_header(stream: BufferedIOBase, offset: int) -> int | None:
    """First byte from ``offset`` on, in steps of a block, where a whole ustar header stands."""
    while True:
        stream.seek(offset)
        chunk = stream.read(_CHUNK)
        place = chunk.find(b"ustar")
        while place >= 0:
            start = place - 257
            block = chunk[start : start + BLOCK] if start >= 0 else b""
            if start % BLOCK == 0 and len(block) == BLOCK and _checksum_fits(block):
                return offset + start
            place = chunk.find(b"ustar", place + 1)
        if len(chunk) < _CHUNK:
            return None
        offset += _CHUNK


def _member(
    stream: BufferedIOBase,
    block: bytes,
    extension: _Extension,
    *,
    flag: bytes,
    size: int,
    data: int,
) -> Header:
    kind = _KINDS.get(flag, "special")
    raw = extension.name if extension.name is not None else _name(block)
    if flag == b"S":
        data = _after_sparse_map(stream, block, data)
    if extension.size is not None:
        size = extension.size
    if flag in _WITHOUT_DATA:
        size = 0
    if kind == "file" and raw.endswith(b"/"):
        kind = "folder"  # as V7 tars mark them, and as GNU tar reads any regular member
    if extension.is_sparse:
        kind = "special"
    name = raw.decode("utf-8", "surrogateescape")
    return Header(name, kind, data, size, data + _padded(size))


def _name(block: bytes) -> bytes:
    name = block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0]
    # GNU tar keeps times where POSIX keeps the prefix; only the magic tells them apart.
    return prefix + b"/" + name if prefix and block[257:263] == b"ustar\0" else name


def _extend(extension: _Extension, flag: bytes, content: bytes, size: int) -> None:
    if len(content) < size:
        raise HeaderError("cut off inside an extended header")
    if flag == b"L":
        extension.name = content.split(b"\0", 1)[0]
    elif flag != b"K":
        for key, value in _pax_records(content):
            if flag == b"g" and key in (b"path", b"size"):
                raise HeaderError(f"a global header that sets the {key.decode()} of every member")
            if key == b"path":
                extension.name = value
            elif key == b"size":
                if not _DIGITS.fullmatch(value):
                    raise HeaderError(f"a pax header with size {value[:24]!r}")
                extension.size = int(value)
            elif key.startswith(b"GNU.sparse"):
                extension.is_sparse = True


def _pax_records(content: bytes) -> list[tuple[bytes, bytes]]:
    """Records "length key=value" and a line feed, where length counts the whole record."""
    records, place = [], 0
    while place < len(content) and content[place]:
        space = content.find(b" ", place, place + 20)
        length = _DIGITS.fullmatch(content, place, max(space, place))
        end = place + int(length[0]) if length else place
        key, equals, value = content[space + 1 : end - 1].partition(b"=")
        if not (place < space < end <= len(content) and equals and content[end - 1] == 0x0A):
            raise HeaderError("a broken pax header")
        records.append((key, value))
        place = end
    return records


def _after_sparse_map(stream: BufferedIOBase, block: bytes, data: int) -> int:
    """Where the data of an old GNU sparse member begin: its map may take further blocks."""
    goes_on = block[482]
    while goes_on:
        stream.seek(data)
        more = stream.read(BLOCK)
        if len(more) < BLOCK:
            raise HeaderError("cut off inside a sparse map")
        goes_on, data = more[504], data + BLOCK
    return data


def _checksum_fits(block: bytes) -> bool:
    """Whether the stored sum of the header's bytes is right; some writers summed signed bytes."""
    field = _OCTAL.fullmatch(block[148:156].split(b"\0", 1)[0])
    if field is None:
        return False
    stored = int(field.group(1) or b"0", 8)
    total = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    if stored == total:
        return True
    others = block[:148] + block[156:]
    return stored == total - 256 * sum(byte > 127 for byte in others)


def _number(field: bytes) -> int:
    """A size: octal digits, or GNU's base-256 where the first byte is 0x80."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    match = _OCTAL.fullmatch(field.split(b"\0", 1)[0])
    if match is None:
        raise HeaderError(f"a size of {field!r}")
    return int(match.group(1) or b"0", 8)


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
