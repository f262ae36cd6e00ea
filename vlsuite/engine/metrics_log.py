"""What a run reports: a line on the terminal, JSON lines, and dashboards."""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipelines.printable import printable
from data_pipelines.settings import to_dict
from vlsuite.engine.config import TrainConfig
from vlsuite.engine.dashboards import Dashboard, StoredIds
from vlsuite.engine.json_lines import JsonLines, rewind
from vlsuite.engine.mlflow_board import MlflowBoard
from vlsuite.engine.run_folder import RunFolder
from vlsuite.engine.tensorboard_board import TensorBoard
from vlsuite.engine.validation_scores import examples_of, scores_of, without_examples
from vlsuite.engine.wandb_board import WandbBoard


class StepClock:
    """Where the time between two log lines went.

    Times are wall-clock seconds of this process.
    """

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.reset()

    def reset(self) -> None:
        """Begin a new interval."""
        self._interval = time.perf_counter()
        self._waiting = 0.0
        self._paused = 0.0
        self._saving = 0.0

    def waited(self, seconds: float) -> None:
        """Count time spent waiting for data."""
        self._waiting += seconds

    def paused(self, seconds: float) -> None:
        """Count time that is not training (evaluation)."""
        self._paused += seconds

    def saved(self, seconds: float) -> None:
        """Count time for which training stood still for a checkpoint."""
        self._saving += seconds
        self._paused += seconds

    @property
    def saving_seconds(self) -> float:
        """Time of the interval for which training stood still for a checkpoint."""
        return self._saving

    @property
    def seconds(self) -> float:
        """Training time of the interval."""
        return max(1e-9, time.perf_counter() - self._interval - self._paused)

    @property
    def data_wait_share(self) -> float:
        """Share of the interval's training time spent waiting for data, 0 to 1."""
        return self._waiting / self.seconds


class MetricsLog:
    """Writes the metrics of one process to all places that were asked for.

    Only the first process of a run makes one.

    Args:
        metrics: JSON-lines file, appended to.
        boards: where they are shown besides.
        step: where the run begins or continues; what an interrupted one logged after it is cut.
    Raises:
        RunFolderError: a file cannot be written.
    """

    def __init__(self, metrics: Path, boards: Sequence[Dashboard], *, step: int) -> None:
        rewind(metrics, step=step)
        self._file = JsonLines(metrics)
        self._boards = boards

    def record(self, kind: str, values: Mapping[str, Any]) -> None:
        """Append one JSON line and the same numbers to the dashboards.

        Args:
            kind: "train" or "eval".
            values: must hold "step"; nested mappings become slash-separated names.
        Raises:
            RunFolderError: the disk is full or gone.
        """
        self._file.write({"kind": kind, **values})
        numbers = flatten(values, prefix=kind)
        for board in self._boards:
            board.numbers(numbers, step=values["step"])

    def evaluation(self, values: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> None:
        """Append one round of evaluations: a JSON line; scores and pictures to the dashboards.

        Args:
            values: must hold "step".
            results: ``eval.results.EvalResult`` objects, JSON-ready.
        Raises:
            RunFolderError: the disk is full or gone.
        """
        self.record("eval", {**values, "results": without_examples(results)})
        scores, examples = scores_of(results), examples_of(results)
        for board in self._boards:
            board.evaluation(scores, examples, step=values["step"])

    def close(self) -> None:
        """Close everything.

        Raises:
            RunFolderError: the disk is full or gone.
        """
        self._file.close()
        for board in self._boards:
            board.close()


def open_boards(folder: RunFolder, config: TrainConfig, *, step: int) -> list[Dashboard]:
    """TensorBoard, and what else the settings ask for.

    Args:
        step: where the run begins or continues.
    Raises:
        ConfigError: Weights & Biases or MLflow was asked for and cannot be had.
        RunFolderError: the run folder cannot be written.
    """
    logging, settings, ids = config.logging, to_dict(config), StoredIds(folder.dashboards)
    boards: list[Dashboard] = [TensorBoard(folder.tensorboard, purge_step=step + 1)]
    if logging.wandb_project is not None:
        boards.append(WandbBoard(logging.wandb_project, settings, folder.path, ids))
    if logging.mlflow_experiment is not None:
        boards.append(MlflowBoard(logging.mlflow_experiment, settings, folder.path, ids))
    return boards


def flatten(values: Mapping[str, Any], *, prefix: str) -> dict[str, float]:
    """Numbers of a nested mapping by slash-separated name; everything else is left out."""
    found: dict[str, float] = {}
    for key, value in values.items():
        name = f"{prefix}/{key}"
        if isinstance(value, Mapping):
            found |= flatten(value, prefix=name)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = float(value)
    return found


def progress_line(
    values: Mapping[str, Any], scalars: Mapping[str, float], *, total_steps: int
) -> str:
    """One train record as a line for people.

    Args:
        values: of the record.
        scalars: of the objective; those that are not 0 are shown.
    """
    wait, eta = values["data_wait_share"] * 100, format_seconds(values["eta_s"])
    own = "".join(
        f"{name.removeprefix('logit_')} {value:.1f}  " for name, value in scalars.items() if value
    )
    return (
        f"step {values['step']}/{total_steps}  loss {values['loss']:.4f}  "
        f"lr {values['learning_rate']:.2e}  {own}"
        f"{values['samples_per_s']:.0f} samples/s  data wait {wait:.0f}%  ETA {eta}"
    )


def say(message: str) -> None:
    """A line for the person at the terminal; standard output stays for results."""
    print(printable(message), file=sys.stderr, flush=True)


def format_seconds(seconds: float) -> str:
    """For example 59s, 12m05s, 3h07m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
