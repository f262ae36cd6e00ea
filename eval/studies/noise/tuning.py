"""The learning rate of each method, chosen by validation pairs that are as noisy as the training.

No test pair and no truth about captions is used: the rate is the one under which the held-out
pictures and captions, right or wrong as they are, find each other best. Wrong captions are found
by chance only, whatever the rate, so they cost precision and favour no method. The figure is the
mean reciprocal rank of both directions (R@1 of the same pairs would have a standard error of about
a tenth of its value), and its geometric mean over the shares of wrong captions in ``tune_rates``:
one rate has to serve all shares, and where more captions are wrong all figures are lower.
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
from eval.studies.noise.methods import METHODS
from eval.studies.noise.training import RECIPE, StudyFolders, run_config
from eval.studies.training import train_anew
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
    known = {lr: _figure(config, folders, method, lr) for lr in grid}
    wanted = grid[(len(grid) - 1) // 2 : len(grid) // 2 + 1]
    if all(known[lr] is not None for lr in wanted):
        place = grid.index(_best({lr: found for lr, found in known.items() if found is not None}))
        wanted = grid[max(0, place - 1) : place + 2]
    trials = [Trial(method, lr, rate) for rate in _rates(config, method) for lr in wanted]
    return [trial for trial in trials if not is_tried(folders, trial, config)]


def _rates(config: StudyConfig, method: str) -> list[float]:
    """Shares of wrong captions; without any, an oracle is the method itself."""
    above = [rate for rate in config.tune_rates if rate > 0]
    return above if METHODS[method].clean_only and above else list(config.tune_rates)


def _figure(config: StudyConfig, folders: StudyFolders, method: str, lr: float) -> float | None:
    """Geometric mean over the shares of wrong captions; None while one is missing."""
    trials = [Trial(method, lr, rate) for rate in _rates(config, method)]
    if not all(is_tried(folders, trial, config) for trial in trials):
        return None
    return _geometric_mean([_read(folders, trial)["mrr"] for trial in trials])


def _geometric_mean(values: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(np.maximum(values, 1e-12)))))


def _best(figures: Mapping[float, float]) -> float:
    """The rate of the highest figure, the lower one of equals."""
    return max(figures, key=lambda lr: (figures[lr], -lr))


def _read(folders: StudyFolders, trial: Trial) -> dict[str, Any]:
    return json.loads((folders.trial(trial) / RESULT).read_text())


def is_tried(folders: StudyFolders, trial: Trial, config: StudyConfig) -> bool:
    """Whether a run is finished, under these settings."""
    path = folders.trial(trial) / RESULT
    return path.is_file() and json.loads(path.read_text())["digest"] == config.trial_digest


def tuning_cell(config: StudyConfig, trial: Trial) -> Cell:
    """The method on the noise that its rate is chosen under."""
    return Cell(trial.method, trial.rate, config.tune_seed)


def train_trial(config: StudyConfig, folders: StudyFolders, trial: Trial) -> None:
    """Train one method at one rate and write how the noisy validation pairs find each other."""
    started = time.perf_counter()
    folder, cell = folders.trial(trial), tuning_cell(config, trial)
    run = run_config(config, folders, cell, lr=trial.lr)
    state = train_anew(run, folder / "run", [], recipe=RECIPE)
    pairs = folders.sets.noisy_validation(cell.rate, cell.seed)
    gallery = study_gallery(open_dataset(str(pairs)), state.evaluated(trial.name), study_embedder())
    write_json(
        folder / RESULT,
        {
            **trial._asdict(),
            "digest": config.trial_digest,
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
    choices = {method: _choice(config, folders, method) for method in METHODS}
    table = {
        "rates": list(config.tune_rates),
        "seed": config.tune_seed,
        "grid": list(config.lr_grid),
        "chosen_by": "mean reciprocal rank of noisy validation pairs, both directions, geometric "
        "mean over the shares of wrong captions",
        "methods": {method: found for method, found in choices.items() if found},
    }
    write_json(folders.out / TABLE, table)
    return table


def read_tuning(out: Path) -> dict[str, Any] | None:
    """What :func:`write_tuning` left; None in a study with one given rate."""
    path = out / TABLE
    return json.loads(path.read_text()) if path.is_file() else None


def _choice(config: StudyConfig, folders: StudyFolders, method: str) -> dict[str, Any] | None:
    known = {lr: _figure(config, folders, method, lr) for lr in sorted(config.lr_grid)}
    figures = {lr: found for lr, found in known.items() if found is not None}
    if not figures:
        return None
    best = _best(figures)
    return {
        "lr": best,
        "at_edge": best in (min(config.lr_grid), max(config.lr_grid)),
        "validation": [
            {"lr": lr, "figure": figure, "trials": _trials(config, folders, method, lr)}
            for lr, figure in figures.items()
        ],
    }


def _trials(
    config: StudyConfig, folders: StudyFolders, method: str, lr: float
) -> list[dict[str, Any]]:
    read = [_read(folders, Trial(method, lr, rate)) for rate in _rates(config, method)]
    return [{name: one[name] for name in ("rate", "mrr", "r1", "pairs", "steps")} for one in read]
