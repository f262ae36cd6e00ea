"""The learning rate of each method, chosen by validation pairs that are as noisy as the training.

No test pair, no truth about captions and no noise rate is used: the rate is the one under which
the held-out pictures and captions, right or wrong as they are, find each other best. Wrong
captions are found by chance only, whatever the rate, so they cost precision and favour no method.
The figure is the mean reciprocal rank of both directions; of the same pairs R@1 alone would have a
standard error of about a tenth of its value.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.data.folders import open_dataset
from eval.studies.noise.embedding import study_embedder, study_gallery
from eval.studies.noise.grid import Cell, StudyConfig, Trial
from eval.studies.noise.training import StudyFolders, run_config, train_run
from eval.zero_shot.retrieval import CosinePlaces, cosine_places
from vlsuite.engine.run_folder import write_json

RESULT, TABLE = "trial.json", "tuning.json"


def next_trials(config: StudyConfig, folders: StudyFolders, methods: Iterable[str]) -> list[Trial]:
    """What has to be run next; nothing where the rate is given or every method's best is known.

    A method begins with the two middle rates of the grid and goes on outwards while its best is the
    last rate tried on a side that the grid has more of.
    """
    if config.lr is not None:
        return []
    return [trial for method in dict.fromkeys(methods) for trial in _next(config, folders, method)]


def _next(config: StudyConfig, folders: StudyFolders, method: str) -> list[Trial]:
    grid = sorted(config.lr_grid)
    known = {lr: _mrr(config, folders, Trial(method, lr)) for lr in grid}
    middle = grid[(len(grid) - 1) // 2 : len(grid) // 2 + 1]
    wanted = [lr for lr in middle if known[lr] is None]
    if not wanted:
        tried = {lr: mrr for lr, mrr in known.items() if mrr is not None}
        place = grid.index(_best(tried))
        beside = grid[max(0, place - 1) : place + 2]
        wanted = [lr for lr in beside if known[lr] is None]
    return [Trial(method, lr) for lr in wanted]


def _best(figures: Mapping[float, float]) -> float:
    """The rate of the highest figure, the lower one of equals."""
    return max(figures, key=lambda lr: (figures[lr], -lr))


def _mrr(config: StudyConfig, folders: StudyFolders, trial: Trial) -> float | None:
    if not is_tried(folders, trial, config):
        return None
    return json.loads((folders.trial(trial) / RESULT).read_text())["mrr"]


def is_tried(folders: StudyFolders, trial: Trial, config: StudyConfig) -> bool:
    """Whether a run is finished, under these settings."""
    path = folders.trial(trial) / RESULT
    return path.is_file() and json.loads(path.read_text())["digest"] == config.digest


def tuning_cell(config: StudyConfig, trial: Trial) -> Cell:
    """The method on the noise that its rate is chosen under."""
    return Cell(trial.method, config.tune_rate, config.tune_seed)


def train_trial(config: StudyConfig, folders: StudyFolders, trial: Trial) -> None:
    """Train one method at one rate and write how the noisy validation pairs find each other."""
    started = time.perf_counter()
    folder, cell = folders.trial(trial), tuning_cell(config, trial)
    state = train_run(run_config(config, folders, cell, lr=trial.lr), folder / "run", [])
    pairs = folders.sets.noisy_validation(cell.rate, cell.seed)
    gallery = study_gallery(open_dataset(str(pairs)), state.evaluated(trial.name), study_embedder())
    write_json(
        folder / RESULT,
        {
            **trial._asdict(),
            "digest": config.digest,
            **validation_figures(cosine_places(gallery)),
            "steps": state.step,
            "seconds": time.perf_counter() - started,
        },
    )


def validation_figures(places: CosinePlaces) -> dict[str, float | int]:
    """Mean reciprocal rank and R@1, means of both directions."""
    sides = [np.asarray(side, np.float64) for side in places]
    return {
        "mrr": float(np.mean([(1 / (1 + side)).mean() for side in sides])),
        "r1": float(np.mean([(side == 0).mean() for side in sides])),
        "pairs": len(sides[0]),
    }


def write_tuning(config: StudyConfig, folders: StudyFolders) -> dict[str, Any]:
    """Collect the finished trials in ``tuning.json``; returns its content."""
    found = [json.loads(path.read_text()) for path in folders.out.glob(f"tuning/*/{RESULT}")]
    own = sorted(
        (one for one in found if one["digest"] == config.digest),
        key=lambda one: (one["method"], one["lr"]),
    )
    table = {
        "rate": config.tune_rate,
        "seed": config.tune_seed,
        "grid": list(config.lr_grid),
        "chosen_by": "mean reciprocal rank of noisy validation pairs, both directions",
        "methods": {
            method: _choice([one for one in own if one["method"] == method], config.lr_grid)
            for method in dict.fromkeys(one["method"] for one in own)
        },
    }
    write_json(folders.out / TABLE, table)
    return table


def read_tuning(out: Path) -> dict[str, Any] | None:
    """What :func:`write_tuning` left; None in a study with one given rate."""
    path = out / TABLE
    return json.loads(path.read_text()) if path.is_file() else None


def _choice(trials: Sequence[Mapping[str, Any]], grid: Sequence[float]) -> dict[str, Any]:
    best = _best({one["lr"]: one["mrr"] for one in trials})
    return {
        "lr": best,
        "at_edge": best in (min(grid), max(grid)),
        "validation": [
            {name: one[name] for name in ("lr", "mrr", "r1", "pairs", "steps")} for one in trials
        ],
    }
