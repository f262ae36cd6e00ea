"""The samples of a data set that a subset file chooses (``vlsuite curate subset``)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64

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
    rows = tuple(chosen_rows_of(layout.shards, file))
    return layout._replace(name=name_with(layout.name, file), rows=rows)


def chosen_rows_of(shards: Sequence[Path], file: Path) -> list[Int64[np.ndarray, " rows"]]:
    """Rows of each shard that a subset chooses, each once.

    Raises:
        DataError: it cannot be read, or was made for other shards or other content.
        EvaluationError: it chooses none.
    """
    identities = [ShardIdentity.of(path) for path in shards]
    parts = parts_for(read_subset(file), identities, name=str(file), some_only=True)
    rows = [part.rows for part in parts]
    if not any(map(len, rows)):
        where = shards[0].parent if shards else "no shards"
        raise EvaluationError(f"subset {file} chooses no sample of {where}; take another")
    return rows


def name_with(name: str, file: Path) -> str:
    """What results call the chosen part of a data set."""
    return f"{name}-{file.stem}"
