"""Random access to the samples of a WebDataset shard, without reading it from the start.

The header walk is done once a shard; its result is kept in a sidecar file (``<shard>.index.npz``)
that is trusted only while size and modification time of the shard are unchanged.
"""

import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np

from data_pipelines.shards.handles import FileHandles
from data_pipelines.shards.scan import ShardLayout, scan

#: Raised when the meaning of a sidecar changes; older files are then rebuilt.
SIDECAR_VERSION = 1

_HANDLES = FileHandles()


class ShardIndex:
    """The samples of one shard in tar order, read by number.

    Safe to use after fork, in threads, and after pickling to another process.

    Args:
        path: the tar.
        layout: where its samples lie (see ``ShardIndex.open``).
    """

    def __init__(self, path: Path, layout: ShardLayout) -> None:
        self.path = path
        self.layout = layout

    @classmethod
    def open(cls, path: str | Path) -> "ShardIndex":
        """Index a shard, from its sidecar where that is still valid.

        Failure to write the sidecar is no error: the walk is then repeated next time.

        Raises:
            ShardError: the file is missing, unreadable, or no uncompressed tar.
        """
        path = Path(path)
        layout = _load_sidecar(path)
        if layout is None:
            layout = scan(path)
            _save_sidecar(path, layout)
        return cls(path, layout)

    def __len__(self) -> int:
        return len(self.layout.key_ends)

    def __repr__(self) -> str:
        return f"ShardIndex({str(self.path)!r}, {len(self)} samples)"

    @property
    def problems(self) -> tuple[str, ...]:
        """What the walk had to leave out or found damaged, one line each; empty for a good tar."""
        return self.layout.problems

    @property
    def keys(self) -> list[str]:
        """All keys in tar order."""
        return [self.key(i) for i in range(len(self))]

    def key(self, i: int) -> str:
        """Key of sample ``i``: its member names up to the first dot of the file name."""
        start = int(self.layout.key_ends[i - 1]) if i else 0
        blob = self.layout.key_blob[start : int(self.layout.key_ends[i])]
        return blob.decode("utf-8", "surrogateescape")

    def suffixes(self, i: int) -> list[str]:
        """Suffixes of the members of sample ``i``, in tar order."""
        rows = slice(int(self.layout.starts[i]), int(self.layout.starts[i + 1]))
        return [self.layout.suffixes[j] for j in self.layout.suffix_ids[rows]]

    def read(self, i: int) -> dict[str, bytes]:
        """Bytes of each member of sample ``i`` by its suffix ("png", "txt", "speech.ogg").

        Raises:
            IndexError: no sample ``i``.
            ShardError: the shard changed since it was indexed, or cannot be read.
        """
        if not 0 <= i < len(self):
            raise IndexError(f"sample {i} of {len(self)} in {self.path}")
        first, last = int(self.layout.starts[i]), int(self.layout.starts[i + 1])
        offsets = self.layout.offsets[first:last].tolist()
        sizes = self.layout.sizes[first:last].tolist()
        # Members of a sample are neighbours: one read serves them all.
        span = _HANDLES.read(
            self.path, offset=offsets[0], size=offsets[-1] + sizes[-1] - offsets[0]
        )
        return {
            suffix: span[offset - offsets[0] : offset - offsets[0] + size]
            for suffix, offset, size in zip(self.suffixes(i), offsets, sizes, strict=True)
        }


def _sidecar_paths(path: Path) -> list[Path]:
    """Where the sidecar may lie: beside the shard, else in the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vlsuite" / "index"
    name = hashlib.sha256(str(path.absolute()).encode("utf-8", "surrogateescape")).hexdigest()
    return [path.with_name(path.name + ".index.npz"), cache / f"{name[:32]}.npz"]


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [SIDECAR_VERSION, status.st_size, status.st_mtime_ns]


def _load_sidecar(path: Path) -> ShardLayout | None:
    """The stored layout, or None where there is none that fits the shard as it is now."""
    for sidecar in _sidecar_paths(path):
        try:
            with np.load(sidecar, allow_pickle=False) as stored:
                if stored["stamp"].tolist() != _stamp(path):
                    continue
                layout = ShardLayout(
                    starts=stored["starts"],
                    offsets=stored["offsets"],
                    sizes=stored["sizes"],
                    suffix_ids=stored["suffix_ids"],
                    key_ends=stored["key_ends"],
                    key_blob=stored["key_blob"].tobytes(),
                    suffixes=_unpack(stored["suffixes"]),
                    problems=_unpack(stored["problems"]),
                )
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            continue
        if _is_consistent(layout, path.stat().st_size):
            return layout
    return None


def _is_consistent(layout: ShardLayout, size: int) -> bool:
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


def _save_sidecar(path: Path, layout: ShardLayout) -> None:
    fields = layout._asdict() | {
        "stamp": np.array(_stamp(path), dtype=np.int64),
        "key_blob": np.frombuffer(layout.key_blob, dtype=np.uint8),
        "suffixes": _pack(layout.suffixes),
        "problems": _pack(layout.problems),
    }
    for sidecar in _sidecar_paths(path):
        temporary = sidecar.with_name(f".{sidecar.name}.{os.getpid()}.tmp")
        try:
            if sidecar.parent != path.parent:
                sidecar.parent.mkdir(parents=True, exist_ok=True)
            # A folder that nobody may write to stays untouched even for the superuser.
            if not sidecar.parent.stat().st_mode & 0o222:
                continue
            with temporary.open("wb") as stream:
                np.savez(stream, allow_pickle=False, **fields)
            temporary.replace(sidecar)
            return
        except OSError:
            temporary.unlink(missing_ok=True)


def _pack(lines: tuple[str, ...]) -> np.ndarray:
    blob = "\x00".join(lines).encode("utf-8", "surrogateescape")
    return np.frombuffer(blob, dtype=np.uint8)


def _unpack(blob: np.ndarray) -> tuple[str, ...]:
    text = blob.tobytes().decode("utf-8", "surrogateescape")
    return tuple(text.split("\x00")) if text else ()
