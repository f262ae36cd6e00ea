"""Writes a folder of embeddings, part by part, so that a kill at any moment loses parts alone.

What cannot be embedded stands in ``skipped/`` with the reason: stored rows and skipped ones are
together the rows of the inputs.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from data_pipelines.curation.parts import write_part
from data_pipelines.embeddings.folder import ABOUT, FORMAT_VERSION, NOTES, SKIPPED, read_note
from data_pipelines.embeddings.item import Item, Part
from data_pipelines.embeddings.layouts import LAYOUTS, Layout, Vectors
from data_pipelines.errors import ConfigError, DataError
from data_pipelines.schema import JsonValue
from data_pipelines.shards.atomic import make_folder, remove_unfinished, write_file
from data_pipelines.shards.file_lock import open_lock, release, try_lock
from data_pipelines.shards.manifest import sha256_of

_LOCK = ".lock"
_PATIENCE = 5.0  # seconds
_SKIPPED = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)


class Skip(NamedTuple):
    """An item that is not embedded, and why."""

    item: Item
    reason: str


class PartDone(NamedTuple):
    """What became of a part: rows stored, and those left out by reason."""

    num_stored: int
    skipped: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class EmbeddingsWriter:
    """Writes the parts of a folder; several processes may write different parts.

    Attributes:
        settings: all that vectors depend on besides the data, and how they are stored.
        count: of all parts.
    """

    folder: Path
    settings: Mapping[str, JsonValue]
    count: int

    @property
    def _layout(self) -> Layout:
        return LAYOUTS[str(self.settings["layout"])]

    def done(self, number: int, part: Part) -> PartDone | None:
        """What became of a part that is stored already; None where it has to be made."""
        note = self._note(number)
        if note is None or note.get("made_from") != self._made_from(part):
            return None
        try:
            there = all(
                _is_inside(name) and (self.folder / name).stat().st_size == size
                for name, (size, _) in note["files"].items()
            )
        except (OSError, KeyError, TypeError, ValueError):
            return None
        return PartDone(note["stored"], note["skipped"]) if there else None

    def write(
        self,
        number: int,
        part: Part,
        *,
        items: Sequence[Item],
        vectors: Vectors,
        skips: Sequence[Skip],
    ) -> PartDone:
        """Write a part and then its note.

        Raises:
            DataError: the folder cannot be written, the disk is full, or rows are lost.
        """
        if len(items) + len(skips) != part.num_rows:
            raise DataError(
                f"{part.source['path']} has {part.num_rows:,} rows, of which {len(items):,} were "
                f"embedded and {len(skips):,} left out; it changed meanwhile, run it again"
            )
        self._note_path(number).unlink(missing_ok=True)
        names = self._layout.write(self.folder, number, self.count, items, vectors)
        if skips:
            names.append(self._write_skips(number, skips))
        else:
            self._skips_path(number).unlink(missing_ok=True)
        skipped = dict(sorted(Counter(skip.reason for skip in skips).items()))
        note = {
            "made_from": self._made_from(part),
            "source": part.source,
            "rows": part.num_rows,
            "stored": len(items),
            "skipped": skipped,
            "files": {
                name: [(self.folder / name).stat().st_size, sha256_of(self.folder / name)]
                for name in sorted(names)
            },
        }
        make_folder(self.folder / NOTES)
        write_file(self._note_path(number), _json_bytes(note))
        return PartDone(len(items), skipped)

    def refuse_others(self) -> None:
        """Keep what was embedded otherwise.

        Raises:
            ConfigError: the folder holds embeddings of another model or form, or other files.
        """
        if not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise ConfigError(f"--out {self.folder} is a file; give a folder")
        notes = sorted((self.folder / NOTES).glob("*.json"))
        about = self.folder / ABOUT
        is_own = (self.folder / NOTES).is_dir() or about.is_file()
        if not is_own and any(self.folder.iterdir()):
            raise ConfigError(
                f"{self.folder} holds other files; choose a new or empty folder by --out"
            )
        for path in [about, *notes[:1]] if about.is_file() else notes[:1]:
            told = read_note(path) or {}
            stored = told.get("settings") or told.get("made_from", {}).get("settings", {})
            other = [name for name, value in self.settings.items() if stored.get(name) != value]
            if other:
                raise ConfigError(
                    f"{self.folder} holds embeddings with another {_told(other, stored)}; choose "
                    "another --out, or delete that folder"
                )

    def finish(self, parts: Sequence[Part], done: Sequence[PartDone], name: str) -> None:
        """Write what the folder holds, when all parts are there; remove what is of no part.

        Args:
            name: of the model, as it can be opened again.
        Raises:
            DataError: the folder cannot be written.
        """
        notes = [read_note(self._note_path(number)) or {} for number in range(self.count)]
        files = {file for note in notes for file in note.get("files", {})}
        self._remove_others(files)
        skipped: Counter[str] = Counter()
        for one in done:
            skipped.update(one.skipped)
        about = {
            "format_version": FORMAT_VERSION,
            "tool": "vlsuite",
            "model": name,
            "settings": dict(self.settings),
            "stored": sum(one.num_stored for one in done),
            "skipped": dict(sorted(skipped.items())),
            "rows": sum(part.num_rows for part in parts),
            "parts": [
                {
                    "source": note["source"],
                    "rows": note["rows"],
                    "stored": note["stored"],
                    "files": note["files"],
                }
                for note in notes
            ],
        }
        write_file(self.folder / ABOUT, _json_bytes(about))

    def _remove_others(self, files: set[str]) -> None:
        """Files of parts that the data does not have any more."""
        folders = {Path(name).parent for name in files} | {Path(SKIPPED)}
        for own in folders:
            for path in (self.folder / own).glob("*"):
                if path.relative_to(self.folder).as_posix() not in files:
                    path.unlink()
        kept = {self._note_path(number) for number in range(self.count)}
        for path in (self.folder / NOTES).glob("*"):
            if path not in kept:
                path.unlink()
        if not any((self.folder / SKIPPED).glob("*")) and (self.folder / SKIPPED).is_dir():
            (self.folder / SKIPPED).rmdir()

    def _made_from(self, part: Part) -> dict[str, JsonValue]:
        source = part.source
        place: dict[str, JsonValue] = {name: source[name] for name in ("first", "last")}
        own: dict[str, JsonValue] = {"settings": dict(self.settings), "parts": self.count}
        return {**own, "content": part.content, **place}

    def _write_skips(self, number: int, skips: Sequence[Skip]) -> str:
        path = self._skips_path(number)
        make_folder(path.parent)
        columns = [
            [skip.item.uid for skip in skips],
            [skip.item.path for skip in skips],
            [skip.item.row for skip in skips],
            [skip.reason for skip in skips],
        ]
        arrays = [pa.array(own, type=f.type) for own, f in zip(columns, _SKIPPED, strict=True)]
        write_part(path, _SKIPPED, [pa.RecordBatch.from_arrays(arrays, schema=_SKIPPED)], {})
        return path.relative_to(self.folder).as_posix()

    def _skips_path(self, number: int) -> Path:
        return self.folder / SKIPPED / f"{number:05d}.parquet"

    def _note_path(self, number: int) -> Path:
        return self.folder / NOTES / f"{number:05d}.json"

    def _note(self, number: int) -> dict[str, Any] | None:
        return read_note(self._note_path(number))


@contextmanager
def writing_alone(folder: Path) -> Iterator[None]:
    """Hold a folder; what killed writers left unfinished in it is removed.

    Raises:
        ConfigError: another command is writing to it.
        DataError: it cannot be made.
    """
    make_folder(folder / NOTES)
    try:
        lock = open_lock(folder / _LOCK)
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror}; choose another --out") from error
    try:
        # processes of a command that was killed hold it until they notice
        until = time.monotonic() + _PATIENCE
        while not (is_ours := try_lock(lock)) and time.monotonic() < until:
            time.sleep(0.1)
        if not is_ours:
            raise ConfigError(f"another command is writing to {folder}; wait for it")
        (folder / ABOUT).unlink(missing_ok=True)
        for own in [folder, *(path for path in folder.iterdir() if path.is_dir())]:
            remove_unfinished(own)
        yield
    finally:
        release(lock)
        if (folder / ABOUT).is_file() or not any((folder / NOTES).iterdir()):
            (folder / _LOCK).unlink(missing_ok=True)


def _is_inside(name: str) -> bool:
    """Whether it is a file in a folder of the folder: others are none of ours to remove."""
    parts = Path(name).parts
    return len(parts) == 2 and ".." not in parts and not Path(name).is_absolute()


def _told(names: Sequence[str], stored: Mapping[str, Any]) -> str:
    words = {"fingerprint": "model"}
    return ", ".join(f"{words.get(n, n)} ({str(stored.get(n))[:24]})" for n in names)


def _json_bytes(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=True) + "\n").encode()
