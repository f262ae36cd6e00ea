"""What a walk over a shard found, stored so that it is done once.

The file lies in the user's cache folder: a shard may be a stranger's, whose folder is read and not
written to. It is trusted only while the size of the shard and both times of its status are what
they were: a program may set the time of modification, but not that of the last change. One beside
the shard (``<shard>.index.npz``, written by ``vlsuite data index``, to be handed on with it) is
used for shards that this machine has not seen yet, where size and time of modification fit.
"""

import hashlib
import io
import os
import re
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_pipelines.shards.scan import ShardLayout

#: Raised when the meaning of a sidecar changes; older files are then rebuilt.
SIDECAR_VERSION = 4

#: Added to the name of a shard.
SUFFIX = ".index.npz"

_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)
_MARK = re.compile(r"[0-9a-f]{12}")
_CONTENT = re.compile(r"([0-9a-f]{32})?")
_WITHOUT_CONTENT = 3  # the version before


class Stamp(NamedTuple):
    """What tells one content of a shard from another without reading it.

    ``tag`` follows from its times, or, on remote storage, from whatever the storage says about the
    version of a file.
    """

    size: int
    tag: int


class Summary(NamedTuple):
    """What opening a set of shards needs to know about one.

    Attributes:
        mark: tells its content from that of other shards; see ``content_mark``.
        content: tells its content from what it was before; see ``content_digest``.
    """

    num_samples: int
    problems: tuple[str, ...]
    mark: str = ""
    content: str = ""


def stamp_of(path: Path) -> Stamp:
    """The present stamp of a local shard.

    Raises:
        OSError: it is missing or unreadable.
    """
    status = path.stat()
    times = cache_name(str(status.st_mtime_ns), str(status.st_ctime_ns))
    return Stamp(status.st_size, int(times[:15], 16))


def copied_stamp_of(path: Path) -> Stamp:
    """What is left of the stamp where a shard is copied with its times: for indexes beside it.

    Raises:
        OSError: it is missing or unreadable.
    """
    status = path.stat()
    return Stamp(status.st_size, status.st_mtime_ns)


def cache_folder() -> Path:
    """The user's folder for what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vlsuite"


def cache_name(*parts: str) -> str:
    """A file name of 32 letters for something long."""
    text = "\n".join(parts).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:32]


def sidecar_paths(path: Path) -> list[Path]:
    """Where the sidecar of a local shard may lie, in the order of preference; the last is ours."""
    cached = cache_folder() / "index" / f"{cache_name(str(path.absolute()))}.npz"
    return [beside(path), cached]


def beside(path: Path) -> Path:
    """Where the sidecar of a local shard lies that is handed on with it."""
    return path.with_name(path.name + SUFFIX)


def load_layout(
    file: Path | io.BytesIO, *, size: int, stamp: Stamp | None = None
) -> ShardLayout | None:
    """The stored layout; None where the file does not fit the shard or is damaged.

    Args:
        size: of the shard in bytes.
        stamp: of the shard as it is now; None accepts any shard of that size.
    """
    try:
        with np.load(file, allow_pickle=False) as stored:
            if not _fits(stored, size=size, stamp=stamp):
                return None
            layout = ShardLayout(
                starts=stored["starts"],
                offsets=stored["offsets"],
                sizes=stored["sizes"],
                suffix_ids=stored["suffix_ids"],
                key_ends=stored["key_ends"],
                key_blob=stored["key_blob"].tobytes(),
                suffixes=unpack(stored["suffixes"]),
                problems=unpack(stored["problems"]),
                mark=_mark(stored),
                content=_content(stored),
            )
    except _UNREADABLE:
        return None
    return layout if is_consistent(layout, size) else None


def load_summary(file: Path, *, stamp: Stamp) -> Summary | None:
    """Count and problems alone, which costs little; None where the sidecar does not fit."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            if not _fits(stored, size=stamp.size, stamp=stamp):
                return None
            count = int(stored["stamp"][3])
            if count < 0:
                return None
            told = unpack(stored["problems"])
            return Summary(count, told, _mark(stored), _content(stored))
    except _UNREADABLE:
        return None


def save_layout(sidecar: Path, layout: ShardLayout, stamp: Stamp) -> bool:
    """Write a sidecar whole or not at all; whether that was possible."""
    fields = layout._asdict() | {
        "stamp": np.array([SIDECAR_VERSION, *stamp, len(layout.key_ends)], dtype=np.int64),
        "key_blob": np.frombuffer(layout.key_blob, dtype=np.uint8),
        "suffixes": pack(layout.suffixes),
        "problems": pack(layout.problems),
        "mark": np.frombuffer(layout.mark.encode("ascii"), dtype=np.uint8),
        "content": np.frombuffer(layout.content.encode("ascii"), dtype=np.uint8),
    }
    return save_arrays(sidecar, fields)


def save_arrays(path: Path, fields: Mapping[str, np.ndarray]) -> bool:
    """Write an npz file whole or not at all; whether that was possible."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **fields)
    try:
        # A folder that nobody may write to stays untouched even for the superuser.
        if not path.parent.stat().st_mode & 0o222:
            return False
        with temporary.open("wb") as stream:
            stream.write(content.getbuffer())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        return False
    return True


def pack(lines: tuple[str, ...]) -> np.ndarray:
    """Lines of text as an array of bytes."""
    blob = "\x00".join(lines).encode("utf-8", "surrogateescape")
    return np.frombuffer(blob, dtype=np.uint8)


def unpack(blob: np.ndarray) -> tuple[str, ...]:
    """The inverse of ``pack``."""
    text = blob.tobytes().decode("utf-8", "surrogateescape")
    return tuple(text.split("\x00")) if text else ()


def _mark(stored: Mapping[str, np.ndarray]) -> str:
    """Raises ``ValueError`` where it is none."""
    mark = stored["mark"].tobytes().decode("ascii")
    if not _MARK.fullmatch(mark):
        raise ValueError("no mark of a shard")
    return mark


def _content(stored: Mapping[str, np.ndarray]) -> str:
    """Empty in files of earlier versions. Raises ``ValueError`` where it is none."""
    if "content" not in stored:
        return ""
    content = stored["content"].tobytes().decode("ascii")
    if not _CONTENT.fullmatch(content):
        raise ValueError("no digest of a shard")
    return content


def _fits(stored: Mapping[str, np.ndarray], *, size: int, stamp: Stamp | None) -> bool:
    version, stored_size, tag, _count = stored["stamp"].tolist()
    # One that came with a remote shard spares its download; it is used as it is.
    known = (SIDECAR_VERSION,) if stamp else (SIDECAR_VERSION, _WITHOUT_CONTENT)
    if version not in known or stored_size != size:
        return False
    return stamp is None or stamp.tag == tag


def is_consistent(layout: ShardLayout, size: int) -> bool:
    """Whether every offset, count and name of a stored layout can belong to a file of ``size``."""
    arrays = (layout.starts, layout.offsets, layout.sizes, layout.suffix_ids, layout.key_ends)
    kinds = (np.int64, np.int64, np.int64, np.uint16, np.int64)
    if any(a.ndim != 1 or a.dtype != kind for a, kind in zip(arrays, kinds, strict=True)):
        return False
    num_members = len(layout.offsets)
    return bool(
        len(layout.sizes) == len(layout.suffix_ids) == num_members
        and len(layout.starts) == len(layout.key_ends) + 1
        and layout.starts[0] == 0
        and layout.starts[-1] == num_members
        and (np.diff(layout.starts) > 0).all()
        and (np.diff(layout.key_ends, prepend=0) > 0).all()
        and (layout.key_ends[-1:] == len(layout.key_blob)).all()
        and (layout.suffix_ids < len(layout.suffixes)).all()
        and (layout.sizes >= 0).all()
        and (np.diff(layout.offsets) > 0).all()
        and (layout.offsets >= 0).all()
        and (layout.offsets + layout.sizes <= size).all()
    )
