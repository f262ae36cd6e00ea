"""One shard of an ingest: rows that are still to be fetched, what came of them, and the files.

Pictures come in any order; they lie in a nameless file until all are there, and are then written in
the order of the list, so that the shard does not show which server was quick. The table of the
shard's rows takes its name last: where it is, with the digest of the tar in its note, the shard is
whole.
"""

import json
import tarfile
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any, BinaryIO, NamedTuple

from data_pipelines.curation.parts import note_of
from data_pipelines.errors import DataError
from data_pipelines.ingest.list_parts import list_part
from data_pipelines.ingest.places import Places
from data_pipelines.ingest.rows_table import (
    OK,
    ListedRow,
    Outcome,
    read_list_part,
    read_outcomes,
    statuses,
    write_rows,
)
from data_pipelines.ingest.url_rows import BAD_ROW, BAD_URL, DUPLICATE, NO_URL
from data_pipelines.schema import JsonValue
from data_pipelines.shards.manifest import ShardEntry
from data_pipelines.subsets.raw_shard import RawSample, write_raw

#: Shards of fewer rows are done whatever came of them: a list may end in a few dead addresses.
FEW_ROWS = 100

#: Of the list itself: no server can mend them.
OF_THE_LIST = frozenset((NO_URL, BAD_URL, BAD_ROW, DUPLICATE))


class ShardResult(NamedTuple):
    """What is in a shard.

    Attributes:
        shard: number.
        rows: of the list.
        statuses: number of rows by what became of them.
        is_done: whether enough of them gave a picture.
        is_new: whether it was written now.
    """

    shard: int
    rows: int
    statuses: dict[str, int]
    is_done: bool
    is_new: bool = False


def finished(places: Places, shard: int, *, min_success: float) -> ShardResult | None:
    """What is in a shard whose files are whole; None where they are not."""
    note = _note(places, shard)
    if note is None or not _is_whole(places, shard, note):
        return None
    return _result(shard, note["rows"], dict(note["statuses"]), min_success)


def entry_of(places: Places, shard: int) -> ShardEntry | None:
    """The tar of a whole shard for the manifest; None where no row gave a picture."""
    note = _note(places, shard)
    assert note is not None, "asked of whole shards"
    return ShardEntry(**note["tar"]) if note["tar"] else None


class ShardJob:
    """A shard being filled.

    Args:
        places: of the ingest.
        shard: number.
        additional: names of the additional columns.
        min_success: share of the rows that must give a picture.
        retried: statuses of rows that are fetched again; None: all but those of the list.
    Raises:
        DataError: its rows cannot be read, or the folder not be written.
    """

    def __init__(
        self,
        places: Places,
        shard: int,
        *,
        additional: tuple[str, ...],
        min_success: float,
        retried: Collection[str] | None = None,
    ) -> None:
        self.shard = shard
        self._places = places
        self._additional = additional
        self._min_success = min_success
        self._rows = read_list_part(list_part(places.lists, shard))
        self._outcomes: list[Outcome | None] = [
            Outcome(one.status) if one.status else None for one in self._rows
        ]
        with _told(places):
            self._spool: BinaryIO = tempfile.TemporaryFile(dir=places.lists)  # noqa: SIM115
        self._stored: dict[int, tuple[int, list[tuple[str, int]]]] = {}
        self._end = 0
        self._lock = Lock()
        self._take_over(retried)

    @property
    def pending(self) -> list[tuple[int, ListedRow]]:
        """Rows without an outcome, with their places."""
        rows = enumerate(zip(self._rows, self._outcomes, strict=True))
        return [(place, row) for place, (row, outcome) in rows if outcome is None]

    def _take_over(self, retried: Collection[str] | None) -> None:
        """What an earlier run stored of this shard stays; so do failures that are not retried."""
        if _note(self._places, self.shard) is None:
            return
        before = read_outcomes(self._places.table(self.shard))
        if len(before) != len(self._rows):
            return
        self._copy_samples({
            row.uid: place
            for place, (row, outcome) in enumerate(zip(self._rows, before, strict=True))
            if outcome.status == OK
        })  # fmt: skip
        for place, outcome in enumerate(before):
            is_kept = retried is not None and outcome.status not in retried
            if outcome.status == OK:
                self._outcomes[place] = outcome if place in self._stored else None
            elif is_kept or outcome.status in OF_THE_LIST:
                self._outcomes[place] = outcome

    def _copy_samples(self, wanted: dict[str, int]) -> None:
        """Members of samples by id from the tar that is there, as far as it can be read."""
        found: dict[str, dict[str, bytes]] = {}
        with suppress(OSError, tarfile.TarError), tarfile.open(self._places.tar(self.shard)) as tar:
            for entry in tar:
                uid, _, suffix = entry.name.partition(".")
                stream = tar.extractfile(entry)
                if uid in wanted and stream is not None:
                    found.setdefault(uid, {})[suffix] = stream.read()
                if uid in found and "json" in found[uid]:  # the last member of a sample
                    self._keep(wanted[uid], found.pop(uid))

    def fail(self, place: int, outcome: Outcome) -> None:
        """A row has no picture."""
        self._outcomes[place] = outcome

    def store(self, place: int, outcome: Outcome, suffix: str, image: bytes) -> None:
        """A row has a picture.

        Raises:
            DataError: the disk refuses.
        """
        row = self._rows[place]
        members = {suffix: image}
        if row.caption is not None:
            members["txt"] = row.caption.encode()
        self._keep(place, {**members, "json": _json_of(row, outcome)})
        self._outcomes[place] = outcome

    def _keep(self, place: int, members: dict[str, bytes]) -> None:
        data = b"".join(members.values())
        with _told(self._places), self._lock:
            at = self._end
            self._spool.write(data)
            self._end += len(data)
        self._stored[place] = (at, [(suffix, len(part)) for suffix, part in members.items()])

    def close(self) -> ShardResult:
        """Write the files; every row has an outcome.

        Raises:
            DataError: the disk refuses.
        """
        outcomes = [one for one in self._outcomes if one is not None]
        assert len(outcomes) == len(self._rows), "every row has one fate"
        counts = statuses(outcomes)
        number = counts.get(OK, 0)
        assert number == len(self._stored), "every picture has a row"
        tar = None
        if number:
            tar = write_raw(self._samples(), self._places.tar(self.shard))
        else:
            self._places.tar(self.shard).unlink(missing_ok=True)
        note: dict[str, JsonValue] = {
            "plan": self._places.plan,
            "rows": len(self._rows),
            "statuses": counts,
            "tar": None if tar is None else {n: getattr(tar, n) for n in _ENTRY},
        }
        write_rows(self._places.table(self.shard), self._rows, outcomes, self._additional, note)
        self.discard()
        found = _result(self.shard, len(self._rows), counts, self._min_success)
        return found._replace(is_new=True)

    def discard(self) -> None:
        """Let go of what was fetched."""
        with suppress(OSError):
            self._spool.close()

    def _samples(self) -> Iterator[RawSample]:
        for place in sorted(self._stored):
            at, parts = self._stored[place]
            with _told(self._places):
                self._spool.seek(at)  # what was not written yet is, now
                members = {suffix: self._spool.read(size) for suffix, size in parts}
            uid = self._rows[place].uid
            yield RawSample(uid, uid, members)


_ENTRY = ("name", "samples", "bytes", "sha256")


@contextmanager
def _told(places: Places) -> Iterator[None]:
    """What the disk refuses in one line."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"cannot write to {places.lists}: {error.strerror or error}; free space, mend "
            "permissions or choose another --out"
        ) from error


def _result(shard: int, rows: int, counts: dict[str, int], min_success: float) -> ShardResult:
    asked = rows - sum(counts.get(status, 0) for status in OF_THE_LIST)
    is_done = asked < FEW_ROWS or counts.get(OK, 0) >= min_success * asked
    return ShardResult(shard, rows, counts, is_done)


def _json_of(row: ListedRow, outcome: Outcome) -> bytes:
    known: dict[str, Any] = {
        "uid": row.uid,
        "captions": [] if row.caption is None else [row.caption],
        "source": "url",
        "key": row.url,
        "url": row.url,
        "sha256": outcome.sha256,
        "width": outcome.width,
        "height": outcome.height,
        "original_width": outcome.original_width,
        "original_height": outcome.original_height,
    }
    if outcome.final_url:
        known["final_url"] = outcome.final_url
    fields = json.loads(row.extra) | known
    return json.dumps(fields, ensure_ascii=False, sort_keys=True).encode()


def _note(places: Places, shard: int) -> dict[str, Any] | None:
    note = note_of(places.table(shard))
    return note if note is not None and note.get("plan") == places.plan else None


def _is_whole(places: Places, shard: int, note: dict[str, Any]) -> bool:
    tar = places.tar(shard)
    if not note["tar"]:
        return not tar.exists()
    return tar.is_file() and tar.stat().st_size == note["tar"]["bytes"]
