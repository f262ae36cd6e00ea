"""One shard to one part of the table."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from data_pipelines.curation.columns import GOOD, columns_of
from data_pipelines.curation.parts import note_of, writing_part
from data_pipelines.curation.sample_rows import row_of
from data_pipelines.curation.scan_settings import ScanSettings
from data_pipelines.errors import ShardError
from data_pipelines.schema import JsonValue
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.manifest import sha256_of
from data_pipelines.shards.shard_set import Shard, name_of
from data_pipelines.shards.stored_sample import StoredSample, printable

#: Raised when the meaning of a column changes; older parts are then made anew.
FORMAT_VERSION = 2

_BATCH_ROWS = 4096
_SHOWN_PROBLEMS = 20


class ScannedShard(NamedTuple):
    """A shard and the part of the table that has its rows.

    Attributes:
        shard: file name.
        content: what the shard holds in one word (``shards.content_digest``).
        part: file name of its part.
        is_new: whether it was read now.
        error: why it could not be read; empty where it could.
        is_missing: whether it has no part, where only what is there was asked for.
        num_problems: of the tar itself (cut off, unsafe names); their samples are not in it.
        verdicts: number of samples by what is wrong with them.
    """

    shard: str
    content: str = ""
    part: str = ""
    rows: int = 0
    bytes: int = 0
    sha256: str = ""
    is_new: bool = False
    error: str = ""
    is_missing: bool = False
    num_problems: int = 0
    verdicts: Mapping[str, int] | None = None


def scan_shard(
    shard: Shard, folder: Path, settings: ScanSettings, *, only_stored: bool = False
) -> ScannedShard:
    """Write the part of a shard into a folder unless it is there.

    A part counts as there if its note names the shard's content as it is now and the same
    settings, and the shard was not written after it. What cannot be read at all comes back as an
    error, so that one shard does not end the scan of the others.

    Args:
        shard: a local file, or a remote one, which is fetched into its cache unless the part and
            its layout are there.
        only_stored: write nothing; a part that is not there is said to be missing.
    Raises:
        DataError: the folder cannot be written.
    """
    part = folder / part_name(shard)
    try:
        index = ShardIndex.open(shard)
        note = _note(shard, index, settings)
        stored = note_of(part)
        if stored is not None and _is_valid(stored, note) and not _is_newer(shard, part):
            return _summary(part, stored, sha256=sha256_of(part), is_new=False)
        if only_stored:
            return ScannedShard(name_of(shard), is_missing=True)
        return _summary(part, *_written(part, index, settings, note), is_new=True)
    except ShardError as error:
        return ScannedShard(name_of(shard), error=str(error))


def part_name(shard: Shard) -> str:
    """File name of the part of a shard."""
    return f"{name_of(shard).removesuffix('.tar')}.parquet"


def _note(shard: Shard, index: ShardIndex, settings: ScanSettings) -> dict[str, JsonValue]:
    # what the storage tells of a remote shard's version, in place of the time of a file
    version = {} if isinstance(shard, Path) else {"version": list(shard.stamp)}
    return {
        "format_version": FORMAT_VERSION,
        "shard": name_of(shard),
        "content": index.layout.content or index.layout.mark,
        "rows": len(index),
        "settings": settings.identity(),
        **version,
    }


def _is_valid(stored: Mapping[str, Any], note: Mapping[str, JsonValue]) -> bool:
    return all(stored.get(name) == value for name, value in note.items())


def _is_newer(shard: Shard, part: Path) -> bool:
    """The content's digest does not see a change in the middle of a large picture."""
    if not isinstance(shard, Path):
        return False  # its version is in the note
    return shard.stat().st_mtime_ns > part.stat().st_mtime_ns


def _written(
    path: Path, index: ShardIndex, settings: ScanSettings, note: dict[str, JsonValue]
) -> tuple[dict[str, Any], str]:
    """The note of the part, and its SHA-256."""
    schema = columns_of(has_language=settings.language != "none", has_hash=settings.phash != "none")
    verdicts: Counter[str] = Counter()
    with writing_part(path, schema) as part:
        for rows in _batches(index, settings):
            for row in rows:
                wrong = (row["verdict"], row["caption_verdict"])
                verdicts[next((one for one in wrong if one != GOOD), GOOD)] += 1
            part.write(_table(rows, schema, shard=str(note["shard"])))
        full = {
            **note,
            "verdicts": dict(sorted(verdicts.items())),
            "num_problems": len(index.problems),
            "problems": [printable(one) for one in index.problems[:_SHOWN_PROBLEMS]],
        }
        part.note(full)
    if part.num_rows != len(index):
        raise ShardError(
            f"{index.path} gave {part.num_rows:,} of its {len(index):,} samples; it was replaced "
            "meanwhile: scan again"
        )
    return full, part.sha256


def _batches(index: ShardIndex, settings: ScanSettings) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    for number, (key, members) in enumerate(index):
        name = index.name(number)
        row = row_of(StoredSample(key, members, name=name), name, settings)
        rows.append({**row, "key": printable(key), "row": number})
        if len(rows) == _BATCH_ROWS:
            yield rows
            rows = []
    if rows:
        yield rows


def _table(rows: list[dict[str, Any]], schema: pa.Schema, *, shard: str) -> pa.Table:
    columns = [
        pa.array(
            [shard] * len(rows) if field.name == "shard" else [row.get(field.name) for row in rows],
            type=field.type,
        )
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _summary(part: Path, note: Mapping[str, Any], sha256: str, *, is_new: bool) -> ScannedShard:
    return ScannedShard(
        shard=note["shard"],
        content=note["content"],
        part=part.name,
        rows=note["rows"],
        bytes=part.stat().st_size,
        sha256=sha256,
        is_new=is_new,
        num_problems=note["num_problems"],
        verdicts=note["verdicts"],
    )
