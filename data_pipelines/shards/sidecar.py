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
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from data_pipelines.arrays import DamagedArraysError, read_arrays
from data_pipelines.printable import printable
from data_pipelines.shards.scan import MAX_SAMPLE_BYTES, ShardLayout

#: Raised when the meaning of a sidecar changes; older files are then rebuilt.
SIDECAR_VERSION = 4

#: Added to the name of a shard.
SUFFIX = ".index.npz"

_KINDS: dict[str, type] = {
    "stamp": np.int64,
    "starts": np.int64,
    "offsets": np.int64,
    "sizes": np.int64,
    "suffix_ids": np.uint16,
    "key_ends": np.int64,
    "key_blob": np.uint8,
    "suffixes": np.uint8,
    "problems": np.uint8,
    "mark": np.uint8,
}
_SUMMARY = ("stamp", "key_ends", "problems", "mark")
_LATER: dict[str, type] = {"content": np.uint8}  # files of earlier versions have none

#: Bytes of a sidecar beyond those of its shard: a member of a tar takes more there than here.
_SLACK = 8 << 20

_MARK = re.compile(r"[0-9a-f]{12}")
_CONTENT = re.compile(r"([0-9a-f]{32})?")
_WITHOUT_CONTENT = 3  # the version before
_said: set[str] = set()


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
    file: Path | io.BytesIO, *, size: int, stamp: Stamp | None = None, name: str = ""
) -> ShardLayout | None:
    """The stored layout; None where the file does not fit the shard, or is damaged.

    Of a damaged file, standard error has a line.

    Args:
        size: of the shard in bytes.
        stamp: of the shard as it is now; None accepts any shard of that size.
        name: of the file, for the message; its path where empty.
    """
    try:
        stored = read_arrays(file, _KINDS, most_bytes=size + _SLACK, optional=_LATER)
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
        if int(stored["stamp"][3]) != len(layout.key_ends) or not is_consistent(layout, size):
            raise DamagedArraysError("what it says cannot be so")
    except DamagedArraysError as error:
        _say_damaged(name or str(file), error)
        return None
    except OSError:
        return None
    return layout


def load_summary(file: Path, *, stamp: Stamp) -> Summary | None:
    """Count and problems alone, which costs little; None as ``load_layout``.

    A file beside the shard may be a stranger's, and is looked at as a whole.
    """
    if file.name.endswith(SUFFIX):
        layout = load_layout(file, size=stamp.size, stamp=stamp)
        if layout is None:
            return None
        return Summary(len(layout.key_ends), layout.problems, layout.mark, layout.content)
    try:
        kinds = {name: _KINDS[name] for name in _SUMMARY}
        stored = read_arrays(file, kinds, most_bytes=stamp.size + _SLACK, optional=_LATER)
        if not _fits(stored, size=stamp.size, stamp=stamp):
            return None
        count = int(stored["stamp"][3])
        if count != len(stored["key_ends"]):
            raise DamagedArraysError("it has two numbers of samples")
        return Summary(count, unpack(stored["problems"]), _mark(stored), _content(stored))
    except DamagedArraysError as error:
        _say_damaged(str(file), error)
        return None
    except OSError:
        return None


def _say_damaged(name: str, error: DamagedArraysError) -> None:
    """Once a process."""
    if name not in _said:
        _said.add(name)
        print(
            f"warning: {printable(name)} is no index ({printable(str(error))}); not used, the "
            "shard is indexed anew",
            file=sys.stderr,
            flush=True,
        )


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
    """Raises ``DamagedArraysError`` where it is none."""
    mark = stored["mark"].tobytes().decode("ascii", "replace")
    if not _MARK.fullmatch(mark):
        raise DamagedArraysError("no mark of a shard")
    return mark


def _content(stored: Mapping[str, np.ndarray]) -> str:
    """Empty in files of earlier versions. Raises ``DamagedArraysError`` where it is none."""
    if "content" not in stored:
        return ""
    content = stored["content"].tobytes().decode("ascii", "replace")
    if not _CONTENT.fullmatch(content):
        raise DamagedArraysError("no digest of a shard")
    return content


def _fits(stored: Mapping[str, np.ndarray], *, size: int, stamp: Stamp | None) -> bool:
    if stored["stamp"].shape != (4,):
        raise DamagedArraysError("no stamp")
    version, stored_size, tag, _count = stored["stamp"].tolist()
    # One that came with a remote shard spares its download; it is used as it is.
    known = (SIDECAR_VERSION,) if stamp else (SIDECAR_VERSION, _WITHOUT_CONTENT)
    if version not in known or stored_size != size:
        return False
    return stamp is None or stamp.tag == tag


def is_consistent(layout: ShardLayout, size: int) -> bool:
    """Whether every offset, count and name of a stored layout can belong to a file of ``size``.

    Names and sizes keep to what ``scan`` would have left out.
    """
    arrays = (layout.starts, layout.offsets, layout.sizes, layout.suffix_ids, layout.key_ends)
    if any(a.ndim != 1 for a in arrays):
        return False
    num_members = len(layout.offsets)
    if not (
        len(layout.sizes) == len(layout.suffix_ids) == num_members
        and len(layout.starts) == len(layout.key_ends) + 1
        and layout.starts[0] == 0
        and layout.starts[-1] == num_members
        and _rises(layout.starts)
        and _rises(layout.key_ends)
        and (layout.key_ends[:1] > 0).all()
        and (layout.key_ends[-1:] == len(layout.key_blob)).all()
        and (layout.suffix_ids < len(layout.suffixes)).all()
    ):
        return False
    return _places_are_right(layout, size) and _names_are_safe(layout)


def _places_are_right(layout: ShardLayout, size: int) -> bool:
    """Members one behind the other inside the file, and no sample too large to be read.

    No sum is made before its parts are known to be small: sums of 64 bits run over.
    """
    offsets, sizes = layout.offsets, layout.sizes
    if not ((offsets >= 0) & (offsets <= size) & (sizes >= 0) & (sizes <= size)).all():
        return False
    ends = offsets + sizes
    if not (ends <= size).all() or not (ends[:-1] <= offsets[1:]).all() or not _rises(offsets):
        return False
    firsts, lasts = layout.starts[:-1], layout.starts[1:] - 1
    return bool((ends[lasts] - offsets[firsts] <= MAX_SAMPLE_BYTES).all())


def _rises(values: Int64[np.ndarray, " values"]) -> bool:
    return bool((values[1:] > values[:-1]).all())


def _names_are_safe(layout: ShardLayout) -> bool:
    """No key that leads out of a folder, no suffix with one in it, as in a walk."""
    if any("/" in suffix or "\0" in suffix for suffix in layout.suffixes):
        return False
    if not any(mark in layout.key_blob for mark in (b"..", b"/", b"\0")):
        return True
    begins = [0, *layout.key_ends[:-1].tolist()]
    for begin, end in zip(begins, layout.key_ends.tolist(), strict=True):
        key = layout.key_blob[begin:end]
        if key.startswith(b"/") or b".." in key.split(b"/") or b"\0" in key:
            return False
    return True
