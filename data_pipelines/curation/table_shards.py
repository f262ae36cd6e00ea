"""The shards that a table was made from, found again."""

from collections.abc import Sequence

from data_pipelines.curation.table import Table
from data_pipelines.errors import DataError
from data_pipelines.shards.shard_set import Shard, anywhere, name_of
from data_pipelines.subsets.pool import shards_at


def shards_of(table: Table, paths: Sequence[str]) -> dict[str, Shard]:
    """The shards of a table by their file names, for processes of any folder.

    Args:
        paths: local ones and addresses, see ``shards_at``; no remote shard is fetched.
    Raises:
        DataError: some shards of the table are not among them.
    """
    shards = {name_of(shard): anywhere(shard) for shard in shards_at(paths)}
    missing = [part.shard for part in table.parts if part.shard not in shards]
    if missing:
        raise DataError(
            f"{len(missing)} shards of {table.folder} are not among those named ({missing[0]}); "
            "name them all, or scan these"
        )
    return shards
