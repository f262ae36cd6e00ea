"""Lists cut into the rows of each shard, while shards before them are already fetched."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from data_pipelines.ingest.rows_table import ListedRow, listed, write_list_part
from data_pipelines.ingest.settings import ListSettings
from data_pipelines.ingest.url_rows import DUPLICATE, UrlRow, url_rows
from data_pipelines.shards.seen_ids import SeenIds
from data_pipelines.skips import Skips


def list_part(folder: Path, shard: int) -> Path:
    """Where the rows of a shard lie until they are fetched."""
    return folder / f"{shard:06d}.parquet"


def cut(
    lists: Sequence[Path], folder: Path, settings: ListSettings, skips: Skips
) -> Iterator[tuple[int, int]]:
    """Write the parts one by one; yields number and rows of each when it is there.

    A second row of one id is marked, whichever list it stands in. Parts depend on lists and
    settings alone.

    Args:
        skips: counts lines that are no rows, and what was read.
    Raises:
        DataError: a list cannot be read, or the disk refuses.
    """
    rows: list[ListedRow] = []
    shard, number = 0, 0
    with SeenIds(folder) as seen:
        for path in lists:
            with closing(url_rows(path, settings, skips, scratch=folder)) as found:
                for one in found:
                    rows.append(listed(number, _marked(one, seen)))
                    number += 1
                    if len(rows) == settings.number_sample_per_shard:
                        write_list_part(list_part(folder, shard), rows)
                        yield shard, len(rows)
                        rows, shard = [], shard + 1
    if rows:
        write_list_part(list_part(folder, shard), rows)
        yield shard, len(rows)


def _marked(one: UrlRow, seen: SeenIds) -> UrlRow:
    if one.problem or seen.add(bytes.fromhex(one.uid)):
        return one
    return one._replace(problem=DUPLICATE)
