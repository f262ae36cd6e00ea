"""Where the files of an ingest lie, and whose they are.

``shard-000000.tar`` and so on; ``rows/shard-000000.parquet`` beside them with what became of each
row; ``ingest/plan.json`` with the lists and settings; and, until all shards are done,
``ingest/list`` with the rows of each shard. ``manifest.json`` comes last.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipelines.bounded_json import read_object
from data_pipelines.errors import DataError
from data_pipelines.schema import JsonValue
from data_pipelines.shards.atomic import make_folder, remove_unfinished, write_file
from data_pipelines.shards.folder import MARKER_NAME, owned
from data_pipelines.shards.manifest import MANIFEST_NAME
from data_pipelines.shards.new_folders import no_empty_folders

_STATE, _ROWS, _LISTS, _PLAN = "ingest", "rows", "list", "plan.json"

#: Part of a plan with the digest of each list by its place, and what stands for one that is absent.
_LISTED, _ABSENT = "lists", "null"

#: Raised when the same lists and settings give other files than before.
_FORM = 1


@dataclass(frozen=True, kw_only=True)
class Places:
    """Files of one ingest.

    Args:
        folder: the output folder.
        plan: digest of lists and settings.
    """

    folder: Path
    plan: str

    def tar(self, shard: int) -> Path:
        """The shard of a number."""
        return self.folder / f"{_name(shard)}.tar"

    def table(self, shard: int) -> Path:
        """What became of its rows."""
        return self.folder / _ROWS / f"{_name(shard)}.parquet"

    @property
    def lists(self) -> Path:
        """Folder of the rows that are to be fetched."""
        return self.folder / _STATE / _LISTS

    @property
    def plan_file(self) -> Path:
        """Lists and settings."""
        return self.folder / _STATE / _PLAN

    def begin(self) -> None:
        """Folders for a run, and the mark that the set is not whole.

        Raises:
            DataError: they cannot be made.
        """
        make_folder(self.lists)
        make_folder(self.folder / _ROWS)
        for folder in (self.folder, self.folder / _ROWS, self.lists):
            remove_unfinished(folder)
        write_file(self.folder / MARKER_NAME, (json.dumps({"plan": self.plan}) + "\n").encode())
        (self.folder / MANIFEST_NAME).unlink(missing_ok=True)

    def end(self) -> None:
        """What only an unfinished set has goes; called when the manifest is there."""
        (self.folder / MARKER_NAME).unlink(missing_ok=True)
        shutil.rmtree(self.lists, ignore_errors=True)

    @property
    def is_whole(self) -> bool:
        """Whether the set has its manifest."""
        return (self.folder / MANIFEST_NAME).is_file()


@contextmanager
def owned_places(
    folder: Path, identity: Mapping[str, JsonValue], *, overwrite: bool
) -> Iterator[Places]:
    """The places of an ingest, which no other process uses meanwhile.

    Args:
        identity: lists and settings that the files depend on.
        overwrite: whether an ingest of others may be dropped; one that has fetched nothing yet
            (a wrong column, a broken list) is dropped unasked.
    Raises:
        DataError: another process writes there; the folder holds other files, or an ingest of other
            lists or settings; or it cannot be written.
    """
    with no_empty_folders(folder), owned(folder):
        _refuse_foreign(folder)
        make_folder(folder / _STATE)
        text = json.dumps(identity, sort_keys=True, ensure_ascii=True)
        digest = hashlib.sha256(f"{_FORM}{text}".encode()).hexdigest()[:32]
        places = Places(folder=folder, plan=digest)
        stored = _stored_plan(places.plan_file)
        if stored is not None and stored.get("digest") != places.plan:
            if _holds_shards(folder) and not overwrite:
                raise DataError(_told(folder, stored, identity))
            _drop(folder)
        if not places.plan_file.exists():
            plan = {"tool": "vlsuite", "digest": places.plan, **identity}
            write_file(places.plan_file, f"{json.dumps(plan, indent=1)}\n".encode())
        try:
            yield places
        except BaseException:
            if not _holds_shards(folder):  # nothing was fetched: a wrong column, a broken list
                _drop(folder)
                (folder / MARKER_NAME).unlink(missing_ok=True)
            raise


def _refuse_foreign(folder: Path) -> None:
    try:
        names = {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(
            f"cannot use {folder} as output folder: {error.strerror}; choose another --out"
        ) from error
    if names and not (folder / _STATE).is_dir():
        raise DataError(
            f"{folder} is not empty and was not written by 'vlsuite data ingest'; choose another "
            "--out"
        )


def _stored_plan(path: Path) -> dict[str, Any] | None:
    try:
        return read_object(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); choose another --out") from error


def _told(folder: Path, stored: Mapping[str, Any], identity: Mapping[str, JsonValue]) -> str:
    differing = [
        _difference(part, name, _value(stored, part, name), _value(identity, part, name))
        for part in identity
        for name in sorted({*_names(stored.get(part)), *_names(identity[part])})
        if _value(stored, part, name) != _value(identity, part, name)
    ]
    what = "; ".join(differing[:3]) or "an earlier version wrote it"
    return (
        f"{folder} was ingested otherwise ({what}); use the same lists and settings, another "
        "--out, or --overwrite to drop it"
    )


def _difference(part: str, name: str, then: str, now: str) -> str:
    """One that differs, as the command line calls it."""
    if part == _LISTED:
        return f"list {int(name) + 1} {_change_of_list(then, now)}"
    return f"--{name.replace('_', '-')}: {then} then, {now} now"


def _change_of_list(then: str, now: str) -> str:
    if then == _ABSENT:
        return "was not there then"
    return "is missing now" if now == _ABSENT else "has another content than then"


def _names(part: Any) -> list[str]:
    return list(part) if isinstance(part, dict) else [""]


def _value(plan: Mapping[str, Any], part: str, name: str) -> str:
    inside = plan.get(part)
    found = inside.get(name) if isinstance(inside, dict) else inside
    return json.dumps(found)[:80]


def _drop(folder: Path) -> None:
    """Files of another ingest, the manifest first."""
    (folder / MANIFEST_NAME).unlink(missing_ok=True)
    for path in _shard_files(folder):
        path.unlink()
    shutil.rmtree(folder / _STATE / _LISTS, ignore_errors=True)
    (folder / _STATE / _PLAN).unlink(missing_ok=True)


def _holds_shards(folder: Path) -> bool:
    return (folder / MANIFEST_NAME).is_file() or bool(_shard_files(folder))


def _shard_files(folder: Path) -> list[Path]:
    return [*folder.glob("shard-*.tar"), *folder.glob(f"{_ROWS}/shard-*.parquet")]


def _name(shard: int) -> str:
    return f"shard-{shard:06d}"
