"""Who can tell what happened first: a mean of frames, a curriculum, or eight frames from the start?

Three small models are trained from the same random weights on the same clips of sprites
(``vlsuite data build motion``), by the recipe "motion", with as many samples: the mean-pooled image
tower, Frozen in Time from one frame to eight, and Frozen in Time with eight frames all along. The
questions of the tests have twins of the same frames in another order, so who is blind to order is
right half of the time. Everything is kept in ``--work``; a stopped study goes on where it was.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.support.environment import describe
from benchmarks.support.motion_runs import MotionData, MotionRuns, training_cost
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.timed_process import BenchmarkError

#: Settings of each model; "{a}" and "{b}" are the samples of the first two stages.
MODELS = {
    "mean of frames": ("model.over_time=mean", "model.frames=8"),
    "curriculum": ("model.frames=1x{a},4x{b},8",),
    "eight frames": ("model.frames=8",),
}
TESTS = ("test_known", "test")
_SHARES = (0.375, 0.25)  # of the samples, in the curriculum's first two stages


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyConfig:
    """Resolved settings."""

    clips: int
    test_clips: int
    sprites: int
    frames: int
    side: int
    architecture: str
    samples: int
    batch: int
    lr: float
    seeds: int
    models: tuple[str, ...]


class Study:
    """Data and runs in one folder.

    Args:
        work: the folder.
        config: of the study.
        threads: of each training.
    """

    def __init__(self, work: Path, config: StudyConfig, *, threads: int) -> None:
        self._config = config
        self._runs = MotionRuns(work, threads=threads)

    def make_data(self) -> None:
        """Clips and a tokenizer of their captions, where they are not there yet."""
        config = self._config
        self._runs.make_data(
            MotionData(
                clips=config.clips, validation=400, test=config.test_clips, frames=config.frames,
                side=config.side, sprites=config.sprites,
            )
        )  # fmt: skip

    def train(self, model: str, seed: int) -> Path:
        """The run folder of a model, trained to its end."""
        config = self._config
        first, second = (
            round(share * config.samples / config.batch) * config.batch for share in _SHARES
        )
        settings = [
            f"model.image_text.name={config.architecture}",
            f"model.image_text.tokenizer={self._runs.tokenizer}",
            f"duration={config.samples}samples",
            f"global_batch_size={config.batch}",
            f"optim.lr={config.lr}",
            f"seed={seed}",
            *(text.format(a=first, b=second) for text in MODELS[model]),
        ]
        return self._runs.train(f"{model.replace(' ', '-')}-{seed}", settings)

    def scores(self, run: Path, test: str) -> dict[str, Any]:
        """Of the task "video_order": name to value, low, high and number of questions."""
        out = run / "order" / test
        words = ("--task", "video_order", "--out", out)
        self._runs.vlsuite("eval", run, "--data", self._runs.data / test, *words)
        (result,) = (json.loads(path.read_text()) for path in out.rglob("*.json"))
        return result["scores"]

    def cost(self, run: Path) -> dict[str, float]:
        """What a training took."""
        return training_cost(run, batch=self._config.batch)

    def frames_seen(self, model: str) -> int:
        """Frames of all clips of a training: its compute but for the text tower."""
        samples = self._config.samples
        if model != "curriculum":
            return 8 * samples
        first, second = (round(share * samples) for share in _SHARES)
        return first + 4 * second + 8 * (samples - first - second)


def over_seeds(scores: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Mean of a score over seeds; with one seed its own interval over questions."""
    values = [one[name]["value"] for one in scores]
    if len(values) == 1:
        own = scores[0][name]
        return {"value": own["value"], "low": own["low"], "high": own["high"], "seeds": 1}
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5)
    mean = float(np.mean(values))
    return {"value": mean, "low": mean - half, "high": mean + half, "seeds": len(values)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.temporal_order", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder of data and runs")
    parser.add_argument("--quick", action="store_true", help="some minutes, proves nothing")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each model")
    parser.add_argument("--seed", type=int, default=0, help="of the first of them")
    parser.add_argument("--samples", type=int, help="of each training (default 96,000)")
    parser.add_argument("--models", default=",".join(MODELS), help=f"of {', '.join(MODELS)}")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="append to benchmarks/results")
    return parser


def _config(args: argparse.Namespace) -> StudyConfig:
    models = tuple(name.strip() for name in args.models.split(","))
    if unknown := sorted(set(models) - set(MODELS)):
        raise BenchmarkError(f"--models knows {', '.join(MODELS)}, not {unknown[0]}")
    if args.quick:
        return StudyConfig(
            clips=512, test_clips=64, sprites=4, frames=8, side=32,
            architecture="vlsuite-micro-32", samples=args.samples or 1024, batch=32, lr=1e-3,
            seeds=args.seeds, models=models,
        )  # fmt: skip
    return StudyConfig(
        clips=8000, test_clips=600, sprites=16, frames=8, side=32,
        architecture="vlsuite-micro-32", samples=args.samples or 96_000, batch=128, lr=1e-3,
        seeds=args.seeds, models=models,
    )  # fmt: skip


def main() -> None:
    """Train what is missing, ask the questions, print a table, and end with one JSON object."""
    args = _parser().parse_args()
    config = _config(args)
    study = Study(args.work, config, threads=args.threads)
    study.make_data()
    figures: dict[str, Any] = {}
    for model in config.models:
        seeds = range(args.seed, args.seed + config.seeds)
        runs = [study.train(model, seed) for seed in seeds]
        cost = [study.cost(run) for run in runs]
        figures[model] = {"frames_seen": study.frames_seen(model), "cost": cost}
        for test in TESTS:
            scores = [study.scores(run, test) for run in runs]
            names = [name for name in scores[0] if name.startswith("accuracy")]
            figures[model][test] = {name: over_seeds(scores, name) for name in names}
            whole = figures[model][test]["accuracy"]
            print(
                f"{model:<16}{test:<12}{100 * whole['value']:6.1f} % "
                f"({100 * whole['low']:.1f} to {100 * whole['high']:.1f})", flush=True,
            )  # fmt: skip
            for name, score in sorted(figures[model][test].items()):
                if name != "accuracy":
                    print(f"    {name.removeprefix('accuracy_'):<20}{100 * score['value']:6.1f} %")
    settings = asdict(config) | {"threads": args.threads, "seed": args.seed}
    finish("temporal_order", {"results": figures}, describe(), config=settings, save=args.save)


if __name__ == "__main__":
    run_as_program(main)
