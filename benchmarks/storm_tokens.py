"""How many of a clip's tokens can STORM do without, and what do its temporal layers add?

Clips of 64 frames (``vlsuite data build motion``), whose questions have twins of the same frames in
another order. An image tower is trained first, as the mean of eight frames; the video models start
from it: Frozen in Time, of which all is trained, and with a frozen image tower STORM and STORM
without Mamba. They learn with eight frames and at the end with all; the rate falls only then. All
tokens are there in training; given up are, when questions are asked,

    1x none, 2x every second frame; 4x mean over four frames, 8x and 16x every second and every
    fourth of those.

The mean of frames and Frozen in Time are shown fewer frames instead. Intervals are over scenes,
each with its answers in all seeds. Everything is kept in ``--work``; a stopped study goes on.
"""

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.support import storm_scores as scores
from benchmarks.support.environment import describe
from benchmarks.support.motion_runs import MotionData, MotionRuns, training_cost
from benchmarks.support.order_questions import OrderQuestions, open_questions
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.storm_scores import Hits, Shown
from benchmarks.support.timed_process import BenchmarkError
from vlsuite.models.folders import open_trainable
from vlsuite.models.storm.reduction import Reduction

COMPRESSIONS = (1, 2, 4, 8, 16)
MEAN, FROZEN, STORM, PLAIN = "mean of frames", "Frozen in Time", "STORM", "STORM without Mamba"
POOL = 4
#: Points that 8x may lose against 1x.
MOST_LOST = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyConfig:
    """Resolved settings; samples are those drawn in training.

    Attributes:
        image_samples: of the image tower, eight frames each.
        short_samples, long_samples: of each video model, with eight frames and with all of them.
        image_batch, batch: samples of a step of the image tower and of the video models.
        cooldown_samples: at the end, in which the rate of the video models falls to zero.
        lr: of the image tower and of what starts from it, text tower included.
        new_lr_factor: of what STORM adds to it.
    """

    clips: int
    validation: int
    test_clips: int
    sprites: int
    kinds: str
    frames: int
    side: int
    architecture: str
    image_samples: int
    short_samples: int
    long_samples: int
    image_batch: int
    batch: int
    cooldown_samples: int
    lr: float
    new_lr_factor: float
    layers: int
    width: int
    downsample: int
    head_layers: int
    head_heads: int
    seeds: int
    tests: tuple[str, ...]


class Study:
    """Data and runs in one folder.

    Args:
        work: the folder.
        config: of the study.
        threads: of each training.
    """

    def __init__(self, work: Path, config: StudyConfig, *, threads: int) -> None:
        self._work, self._config = work, config
        self._runs = MotionRuns(work, threads=threads)
        self.cost: dict[str, dict[str, float]] = {}

    def questions(self) -> list[OrderQuestions]:
        """Of the tests, decoded once for all models."""
        config = self._config
        self._runs.make_data(
            MotionData(
                clips=config.clips, validation=config.validation, test=config.test_clips,
                frames=config.frames, side=config.side, sprites=config.sprites,
                kinds=config.kinds, gop=1,
            )
        )  # fmt: skip
        image = open_trainable(self.image_tower())
        model = image.evaluated("image", scalars={"logit_scale": 1.0}, device=_cpu())
        transform = model.image_transform
        return [
            open_questions(self._runs.data / name, num_frames=config.frames, transform=transform)
            for name in config.tests
        ]

    def image_tower(self) -> Path:
        """The mean of eight frames, which all other models start from."""
        config = self._config
        return self._train(
            "image",
            [
                "model.over_time=mean",
                "model.frames=8",
                f"model.image_text.name={config.architecture}",
                f"model.image_text.tokenizer={self._runs.tokenizer}",
                f"duration={_whole(config.image_samples, config.image_batch)}samples",
                "seed=0",
            ],
            batch=config.image_batch,
        )

    def frozen(self) -> Path:
        """Frozen in Time, all of it trained."""
        return self._train("frozen-0", self._from_image(seed=0), batch=self._config.batch)

    def storm(self, *, layers: int, seed: int) -> Path:
        """STORM with its image tower frozen.

        Args:
            layers: temporal layers; 0 is without Mamba.
        """
        config = self._config
        name = f"{'storm' if layers else 'plain'}-{seed}"
        return self._train(
            name,
            [
                "model=storm",
                "model.image_text.lock_image=true",
                f"model.layers={layers}",
                f"model.width={config.width}",
                f"model.downsample={config.downsample}",
                f"model.head_layers={config.head_layers}",
                f"model.head_heads={config.head_heads}",
                # the kind with a kernel of its own on CPU
                "model.mixer.kind=mamba1",
                "model.image_frames_at_once=1024",
                f"optim.new_lr_factor={config.new_lr_factor}",
                *self._from_image(seed=seed),
            ],
            batch=config.batch,
        )

    def answers(self, run: Path, ways: list[Shown], sets: list[OrderQuestions]) -> dict[str, Hits]:
        """Of a run's export."""
        return scores.answers(run, ways, sets, self._work / "answers" / f"{run.name}.json")

    def _from_image(self, *, seed: int) -> list[str]:
        config = self._config
        short = _whole(config.short_samples, config.batch)
        return [
            f"model.image_text.name=local-dir:{self.image_tower() / 'export' / 'image_text'}",
            f"model.frames=8x{short},{config.frames}",
            f"duration={short + _whole(config.long_samples, config.batch)}samples",
            "optim.schedule=constant",
            f"optim.cooldown_steps={config.cooldown_samples // config.batch}",
            f"seed={seed}",
        ]

    def _train(self, name: str, settings: list[str], *, batch: int) -> Path:
        told = [f"global_batch_size={batch}", f"optim.lr={self._config.lr}"]
        run = self._runs.train(name, [*settings, *told])
        self.cost[name] = training_cost(run, batch=batch)
        return run


def _whole(samples: int, batch: int) -> int:
    """In whole steps."""
    return max(1, round(samples / batch)) * batch


def _cpu() -> Any:
    import torch

    return torch.device("cpu")


def measure(study: Study, config: StudyConfig, *, first_seed: int) -> dict[str, Any]:
    """Train what is missing, ask, and print a table as it fills."""
    sets = study.questions()
    found: dict[str, dict[int, list[Hits]]] = {}
    fewer = [Shown(f"{c}x", every=c) for c in COMPRESSIONS]
    for name, run in ((MEAN, study.image_tower()), (FROZEN, study.frozen())):
        hits = study.answers(run, fewer, sets)
        found[name] = {c: [hits[f"{c}x"]] for c in COMPRESSIONS}
        _print(name, found[name], sets)
    for name, layers in ((STORM, config.layers), (PLAIN, 0)):
        found[name] = {c: [] for c in COMPRESSIONS}
        for seed in range(first_seed, first_seed + config.seeds):
            hits = study.answers(study.storm(layers=layers, seed=seed), _fewer_tokens(), sets)
            for compression in COMPRESSIONS:
                found[name][compression].append(hits[f"{compression}x"])
        _print(name, found[name], sets)
    return _figures(found, sets)


def _fewer_tokens() -> list[Shown]:
    return [
        Shown(
            f"{c}x",
            reduction=Reduction(
                temporal_pool=POOL if c >= POOL else 1, sample_every=c // POOL if c >= POOL else c
            ),
        )
        for c in COMPRESSIONS
    ]


def _figures(found: dict[str, dict[int, list[Hits]]], sets: list[OrderQuestions]) -> dict[str, Any]:
    """The result: accuracies, the two differences of the goal, and whether it is reached."""
    storm, plain = found[STORM], found[PLAIN]
    lost = scores.difference(storm[8], storm[1], sets)
    gained = scores.difference(storm[8], plain[8], sets)
    goals = {
        "8x within 2 points of 1x": float(lost["value"]) >= -MOST_LOST,  # type: ignore[arg-type]
        "8x above no Mamba": float(gained["low"]) > 0,  # type: ignore[arg-type]
    }
    for name, one in (("STORM 8x - 1x", lost), ("STORM 8x - without Mamba 8x", gained)):
        low, value, high = (100 * float(one[key]) for key in ("low", "value", "high"))  # type: ignore[arg-type]
        print(f"{name}: {value:+.1f} points ({low:+.1f} to {high:+.1f})")
    return {
        "accuracy": {
            name: {f"{c}x": scores.over_seeds(hits, sets) for c, hits in own.items()}
            for name, own in found.items()
        },
        "by_kind": {
            name: {f"{c}x": scores.by_kind(hits, sets) for c, hits in own.items()}
            for name, own in found.items()
        },
        "storm_8x_minus_1x": lost,
        "storm_minus_plain_8x": gained,
        "goals": goals,
        "chance": sum(one.chance for one in sets) / len(sets),
    }


def _print(name: str, own: dict[int, list[Hits]], sets: list[OrderQuestions]) -> None:
    cells = []
    for compression, hits in own.items():
        score = scores.over_seeds(hits, sets)
        low, value, high = (100 * score[key] for key in ("low", "value", "high"))
        cells.append(f"{compression}x {value:.1f} ({low:.1f} to {high:.1f})")
    print(f"{name:<22}" + "  ".join(cells), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.storm_tokens", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder of data and runs")
    parser.add_argument("--quick", action="store_true", help="some minutes, proves nothing")
    parser.add_argument("--validation", action="store_true", help="ask the validation clips")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of STORM")
    parser.add_argument("--seed", type=int, default=0, help="of the first of them")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="append to benchmarks/results")
    return parser


def _config(args: argparse.Namespace) -> StudyConfig:
    if args.seeds < 1:
        raise BenchmarkError("--seeds must be 1 at least")
    tests = ("validation",) if args.validation else ("test_known", "test")
    # few sprites and kinds: a batch then holds several clips that differ only in their order
    shared: dict[str, Any] = {
        "sprites": 4, "kinds": "direction,size,presence,order,meeting,path",
        "side": 32, "architecture": "vlsuite-micro-32", "width": 64, "downsample": 2,
        "head_layers": 2, "head_heads": 4, "layers": 2, "seeds": args.seeds, "tests": tests,
    }  # fmt: skip
    if args.quick:
        return StudyConfig(
            clips=256, validation=40, test_clips=40, frames=16, image_samples=128,
            short_samples=64, long_samples=64, image_batch=32, batch=32, cooldown_samples=64,
            lr=1e-3, new_lr_factor=1.0, **shared,
        )  # fmt: skip
    return StudyConfig(
        clips=4000, validation=400, test_clips=600, frames=64, image_samples=40_000,
        short_samples=44_800, long_samples=2_560, image_batch=128, batch=64,
        cooldown_samples=6_400, lr=1e-3, new_lr_factor=2.0, **shared,
    )  # fmt: skip


def main() -> None:
    """Train what is missing, ask the questions, and end with one JSON object."""
    args = _parser().parse_args()
    config = _config(args)
    study = Study(args.work, config, threads=args.threads)
    found = measure(study, config, first_seed=args.seed)
    settings = asdict(config) | {"threads": args.threads, "seed": args.seed}
    finish(
        "storm_tokens", found | {"cost": study.cost}, describe(), config=settings, save=args.save
    )


if __name__ == "__main__":
    run_as_program(main)
