"""Lists of addresses to shards: the whole of an ingest.

Rows become shards by their number in the list; a shard that is whole is not touched again, so a run
that was stopped goes on where it was, and the same answers give the same bytes however often it was
stopped and by however many processes it ran.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from data_pipelines.errors import ConfigError, DataError
from data_pipelines.ingest.ahead import Ahead
from data_pipelines.ingest.failures import PRIVATE
from data_pipelines.ingest.list_parts import cut
from data_pipelines.ingest.places import Places, owned_places
from data_pipelines.ingest.processes import fill_in_processes
from data_pipelines.ingest.resizing import Opener
from data_pipelines.ingest.rows_table import OK
from data_pipelines.ingest.settings import (
    FetchSettings,
    ListSettings,
    PictureSettings,
    RunSettings,
)
from data_pipelines.ingest.shard_job import OF_THE_LIST, ShardResult, entry_of, finished
from data_pipelines.ingest.work import Tell, Work, fill_shards
from data_pipelines.schema import JsonValue
from data_pipelines.shards.manifest import FileEntry, Manifest, Origin, sha256_of
from data_pipelines.skips import Skips

#: Shards below --min-success, one after the other, that end a run: the network is away.
_MOST_POOR = 3


@dataclass(frozen=True, kw_only=True)
class IngestReport:
    """What an ingest has come to.

    Args:
        folder: of the shards.
        num_rows: of the lists.
        num_shards: with pictures.
        num_new: shards written now.
        statuses: number of rows by what became of them.
        skipped: lines of the lists that are no rows, by reason.
        not_met: statuses that were to be fetched again and that no row had.
    """

    folder: Path
    num_rows: int
    num_shards: int
    num_new: int
    statuses: dict[str, int]
    skipped: dict[str, int] = field(default_factory=dict)
    not_met: tuple[str, ...] = ()

    @property
    def num_pictures(self) -> int:
        """Rows whose picture is stored."""
        return self.statuses.get(OK, 0)


def ingest(
    lists: Sequence[Path],
    out: Path,
    open_picture: Opener,
    *,
    rows: ListSettings | None = None,
    pictures: PictureSettings | None = None,
    fetch: FetchSettings | None = None,
    run: RunSettings | None = None,
    origin: Origin | None = None,
    tell: Tell = lambda rows, pictures: None,
    total: Callable[[int], None] = lambda rows: None,
) -> IngestReport:
    """Fetch the pictures of lists of addresses and write them as shards.

    Args:
        lists: files, in order; their rows are numbered through.
        out: folder of the shards; one that holds a part of the same ingest goes on.
        open_picture: see ``resizing.Opener``.
        origin: recorded in the manifest.
        tell: is told of rows as they find their fate.
        total: is told how many there are, when the lists have been read.
    Raises:
        DataError: the lists cannot be read or have no rows; ``out`` cannot be used; too few rows of
            a shard gave a picture; or the disk refuses.
        ConfigError: the limits of a host are less than one request a worker.
    """
    rows, pictures = rows or ListSettings(), pictures or PictureSettings()
    fetch, run = fetch or FetchSettings(), run or RunSettings()
    if run.workers > fetch.host_connections:
        raise ConfigError(
            f"--workers {run.workers} share --host-connections {fetch.host_connections}, at least "
            "one each: give more connections or fewer workers"
        )
    identity = _identity(lists, rows, pictures, fetch)
    with owned_places(out, identity, overwrite=run.overwrite) as places:
        if places.is_whole and not run.retry_failed:
            return _report_of_whole(places)
        work = Work(
            places=places,
            lists=rows,
            pictures=pictures,
            fetch=fetch,
            open_picture=open_picture,
            min_success=run.min_success,
            retried=frozenset(run.retry_status) or None,
            share=run.workers,
        )
        return _Run(work, run, lists, tell, total).to_the_end(origin or Origin())


class _Run:
    def __init__(
        self,
        work: Work,
        settings: RunSettings,
        lists: Sequence[Path],
        tell: Tell,
        total: Callable[[int], None],
    ) -> None:
        self._work, self._settings, self._lists = work, settings, lists
        self._tell, self._total = tell, total
        self._skips = Skips()
        self._results: dict[int, ShardResult] = {}
        self._num_poor = 0
        self._failures: set[str] = set()

    def to_the_end(self, origin: Origin) -> IngestReport:
        """Fill what is not whole, and write the manifest."""
        places = self._work.places
        places.begin()
        shards = self._shards_to_fill()
        if self._settings.workers == 1:
            with Ahead(shards) as ahead:
                fill_shards(self._work, ahead.next, tell=self._tell, done=self._done)
        else:
            fill_in_processes(
                self._work,
                shards,
                workers=self._settings.workers,
                tell=self._tell,
                done=self._done,
            )
        results = [self._results[shard] for shard in sorted(self._results)]
        if not results:
            raise DataError(
                f"{', '.join(map(str, self._lists))}: no rows{_in_brackets(self._skips.counts)}; "
                "check the list"
            )
        self._refuse_poor([one for one in results if not one.is_done])
        manifest = _manifest(places, results, origin, self._skips)
        manifest.save(places.folder)
        places.end()
        report = _report(places.folder, manifest, num_new=sum(one.is_new for one in results))
        not_met = sorted(set(self._settings.retry_status) - self._failures)
        return replace(report, not_met=tuple(not_met))

    def _shards_to_fill(self) -> Iterator[int]:
        places = self._work.places
        num_rows = 0
        for shard, rows in cut(self._lists, places.lists, self._work.lists, self._skips):
            num_rows += rows
            found = finished(places, shard, min_success=self._settings.min_success)
            self._failures |= _failures(found)
            if found is None or not found.is_done or self._is_retried(found):
                yield shard
            else:
                self._results[shard] = found
                self._tell(found.rows, found.statuses.get(OK, 0))
        self._total(num_rows)

    def _is_retried(self, found: ShardResult) -> bool:
        if not self._settings.retry_failed:
            return False
        failed, wanted = _failures(found), self._work.retried
        return bool(failed if wanted is None else failed & set(wanted))

    def _done(self, result: ShardResult) -> None:
        self._results[result.shard] = result
        self._num_poor = 0 if result.is_done else self._num_poor + 1
        if self._num_poor >= _MOST_POOR:
            self._refuse_poor([one for one in self._results.values() if not one.is_done])

    def _refuse_poor(self, poor: Sequence[ShardResult]) -> None:
        if not poor:
            return
        rows = sum(one.rows for one in poor)
        counts = _summed(poor)
        number = counts.pop(OK, 0)
        raise DataError(
            f"{len(poor):,} shards of {self._work.places.folder} are not done: {number:,} of their "
            f"{rows:,} rows gave a picture, less than --min-success {self._settings.min_success:g}"
            f"{_in_brackets(counts)}; run it again to retry their failed rows, or lower "
            "--min-success"
        )


def _identity(
    lists: Sequence[Path], rows: ListSettings, pictures: PictureSettings, fetch: FetchSettings
) -> dict[str, JsonValue]:
    named: dict[str, JsonValue] = {}
    for number, path in enumerate(lists):
        try:
            named[f"{number:04d}"] = sha256_of(path)
        except OSError as error:
            raise DataError(
                f"cannot read {path}: {error.strerror or error}; check the path"
            ) from error
    return {
        "lists": named,
        "rows": rows.identity(),
        "pictures": pictures.identity(),
        "fetch": fetch.identity(),
    }


def _manifest(
    places: Places, results: Sequence[ShardResult], origin: Origin, skips: Skips
) -> Manifest:
    tars = [entry for one in results if (entry := entry_of(places, one.shard)) is not None]
    counts = _summed(results)
    if not tars:
        raise DataError(
            f"no row of the lists gave a picture{_in_brackets(counts)}; {places.folder / 'rows'} "
            f"says why of each; {_way_out(counts)}"
        )
    num_rows = sum(one.rows for one in results)
    assert num_rows == counts.total(), "every row has one fate"
    del counts[OK]
    files = [places.plan_file, *(places.table(one.shard) for one in results)]
    details: dict[str, JsonValue] = {"plan": places.plan, "rows": num_rows}
    return Manifest(
        origin=replace(origin, details={**origin.details, **details}),
        layout="pairs",
        shards=tuple(tars),
        files=tuple(_entry(path, places.folder) for path in files),
        skipped=dict(sorted((counts + Counter(skips.counts)).items())),
        skipped_examples=skips.examples,
        read={**skips.inputs, "rows of the lists": num_rows},
        details=details,
    )


def _entry(path: Path, folder: Path) -> FileEntry:
    return FileEntry(
        name=path.relative_to(folder).as_posix(), bytes=path.stat().st_size, sha256=sha256_of(path)
    )


def _report_of_whole(places: Places) -> IngestReport:
    return _report(places.folder, Manifest.load(places.folder), num_new=0)


def _report(folder: Path, manifest: Manifest, *, num_new: int) -> IngestReport:
    num_rows = manifest.read["rows of the lists"]
    broken = {reason: manifest.skipped[reason] for reason in manifest.skipped_examples}
    failed = {k: v for k, v in manifest.skipped.items() if k not in broken}
    return IngestReport(
        folder=folder,
        num_rows=num_rows,
        num_shards=len(manifest.shards),
        num_new=num_new,
        statuses={OK: manifest.num_samples, **failed},
        skipped=broken,
    )


def _failures(found: ShardResult | None) -> set[str]:
    """Statuses in a shard whose rows can be asked again."""
    return set() if found is None else set(found.statuses) - {OK, *OF_THE_LIST}


def _way_out(counts: Mapping[str, int]) -> str:
    """What helps where no row at all gave a picture."""
    if counts.get(PRIVATE, 0):
        return "servers of your own network are asked with --allow-private --overwrite"
    if set(counts) <= set(OF_THE_LIST):
        return "mend the list"
    return "--retry-failed asks again"


def _in_brackets(counts: Mapping[str, int]) -> str:
    """The three most frequent reasons, " (3 x timeout, 1 x dns)"; empty where there are none."""
    told = ", ".join(f"{n:,} x {reason}" for reason, n in Counter(counts).most_common(3))
    return f" ({told})" if told else ""


def _summed(results: Iterable[ShardResult]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for one in results:
        counts.update(one.statuses)
    return counts
