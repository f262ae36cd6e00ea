"""The samples of a data set that a subset file chooses (``vlsuite curate subset``)."""

from pathlib import Path

from data_pipelines.subsets.matching import parts_for
from data_pipelines.subsets.subset import ShardIdentity
from data_pipelines.subsets.subset_file import read_subset
from eval.data.dataset import Layout
from eval.errors import EvaluationError


def with_subset(layout: Layout, file: Path) -> Layout:
    """The same shards, of which only the samples of a subset count; each counts once.

    Args:
        file: of a subset that was made for these shards, and perhaps others.
    Raises:
        DataError: it cannot be read, or was made for other shards or other content.
        EvaluationError: the data set has no shards, or none of its samples is chosen.
    """
    if layout.pictures is not None:
        raise EvaluationError(
            f"{layout.folder} is a folder of pictures, and a subset chooses samples of shards; "
            "leave --subset out"
        )
    shards = [ShardIdentity.of(path) for path in layout.shards]
    parts = parts_for(read_subset(file), shards, name=str(file), some_only=True)
    rows = tuple(part.rows for part in parts)
    if not any(map(len, rows)):
        raise EvaluationError(f"subset {file} chooses no sample of {layout.folder}; take another")
    return layout._replace(name=f"{layout.name}-{file.stem}", rows=rows)
