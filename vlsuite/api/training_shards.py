"""Evaluation on what a model was trained on, said before it is measured."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from data_pipelines.bounded_json import read_json
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.overlap import shards_among
from eval.data.dataset import EvalDataset
from vlsuite.errors import UserError

_NAMED = 3


def trained_on_warnings(
    datasets: Iterable[EvalDataset], patterns: Sequence[str], *, whose: str
) -> Iterator[str]:
    """A line for each data set that has shards of the training set, or copies of them.

    Args:
        datasets: to be measured on.
        patterns: training shards, as in ``data.train``; remote and vanished ones are left out.
        whose: training, for the message: a run's folder.
    """
    trained = [shard for pattern in patterns for shard in _found(pattern)]
    for dataset in datasets if trained else ():
        shards = dataset.layout.shards
        if shared := shards_among(shards, trained):
            listed = ", ".join(path.name for path in shared[:_NAMED])
            more = ", ..." if len(shared) > _NAMED else ""
            yield (
                f"{dataset.title}: {len(shared)} of its {len(shards)} shards ({listed}{more}) "
                f"belong to the training set of {whose}: scores on them tell what was memorised; "
                "measure on data that was kept apart"
            )


def patterns_of_run(model: str) -> tuple[str, list[str]] | None:
    """Folder and training shards of the run that a model's name means; None for other models.

    Args:
        model: a run folder, or a folder in it such as its export.
    """
    for folder in (Path(model), Path(model).parent):
        stored = _config_of(folder)
        if stored is not None:
            data = stored.get("data")
            train = data.get("train", ()) if isinstance(data, dict) else ()
            return str(folder), [str(one) for one in ([train] if isinstance(train, str) else train)]
    return None


def _config_of(folder: Path) -> dict[str, Any] | None:
    """The settings in a run's config.json; None where the folder is no run."""
    try:
        stored = read_json(folder / "config.json")
    except (OSError, ValueError):
        return None
    is_run = isinstance(stored, dict) and "recipe" in stored
    config = stored.get("config") if is_run else None
    return config if isinstance(config, dict) else None


def _found(pattern: str) -> list[Path]:
    if "://" in pattern:
        return []
    try:
        return find_shards([pattern])
    except (UserError, OSError):
        return []
