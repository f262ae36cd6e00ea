"""How much of what it knew does a detector lose that is fine-tuned on one's own COCO file?

A ViLD-text detector learns general names from scenes of sprites. It is then fine-tuned on an own
COCO file of a few other names, whose pictures show unmarked general things too: on that file alone,
and with the general shards replayed beside it, in as many steps. AP50 on the general test set (its
own, fixed vocabulary) before and after is the forgetting, AP50 on the own test set the gain; each
difference has the paired interval of ``vlsuite eval compare`` for the pictures of one seed, and
the interval over seeds.
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.support.environment import describe
from benchmarks.support.forgetting_data import ForgettingData, Sizes
from benchmarks.support.report import finish
from vlsuite.api.comparison import compare
from vlsuite.api.training import train
from vlsuite.batches.data_config import DataConfig
from vlsuite.engine.config import CheckpointConfig, LoggingConfig, TrainConfig
from vlsuite.engine.duration import Duration
from vlsuite.engine.optim import OptimConfig
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.vild.config import VildConfig
from vlsuite.models.vild.settings import (
    HeadSettings,
    NetworkSettings,
    ProposalSettings,
    TrunkSettings,
    ViewSettings,
)
from vlsuite.objectives.vild import VildObjectiveConfig

#: Ways to fine-tune, and the share of the own pictures in a step.
WAYS = {"own alone": None, "with replay": 0.5}
SCORE = "box_ap50"


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyConfig:
    """Resolved settings."""

    sizes: Sizes
    teacher_epochs: float
    steps: int
    fine_steps: int
    batch: int
    lr: float
    fine_lr: float
    seeds: int
    seed: int


class Study:
    """Data, runs and comparisons in one folder; what is finished there is not made again."""

    def __init__(self, work: Path, config: StudyConfig) -> None:
        self._work, self._config = work, config
        self.data = ForgettingData(work / "data")

    def teacher(self) -> Path:
        """A small CLIP that tells all names apart; it never sees a scene."""
        config = TrainConfig(
            model=OpenClipConfig(name="vlsuite-micro-32", tokenizer=str(self.data.tokenizer)),
            data=DataConfig(train=(str(self.data.teacher),), num_workers=0),
            optim=OptimConfig(lr=1e-3, warmup_steps=20),
            duration=Duration(f"{self._config.teacher_epochs}epochs"),
            global_batch_size=64,
            **_shared(self._config.seed),
        )
        return self._trained("teacher", config)

    def start(self) -> Path:
        """The detector of general names."""
        config, general = self._config, str(self.data.general)
        model = VildConfig(
            vocabulary=general, teacher=OpenClipConfig(name=f"local-dir:{self.teacher()}/export"),
            **self._model(),
        )  # fmt: skip
        return self._detector("start", model, DataConfig(train=(general,), num_workers=0),
                              steps=config.steps, lr=config.lr, seed=config.seed)  # fmt: skip

    def fine_tuned(self, way: str, seed: int) -> Path:
        """One that goes on from the start."""
        config, own = self._config, (str(self.data.own),)
        data, share = DataConfig(train=own, num_workers=0), WAYS[way]
        if share is not None:
            both = (*own, str(self.data.general))
            data = DataConfig(train=both, weights=(share, 1 - share), num_workers=0)
        model = VildConfig(vocabulary=data.train, pretrained=str(self.start()), **self._model())
        name = f"{way.replace(' ', '-')}-{seed}"
        return self._detector(name, model, data, steps=config.fine_steps, lr=config.fine_lr,
                              seed=seed)  # fmt: skip

    def difference(self, first: Path, second: Path, data: Path) -> dict[str, Any]:
        """AP50 of both on a set, and of the second minus the first with its paired interval."""
        out = self._work / "compared" / f"{first.name}-{second.name}-{data.parent.name}"
        if not (out / "compare.json").is_file():
            runs = [str(first), str(second)]
            compare(runs, str(data), out=out, tasks="detection")
        content = json.loads((out / "compare.json").read_text())
        (row,) = (one for one in content["comparisons"] if one["score"] == SCORE)
        paired = row["against_first"][1]["difference"]
        return {
            "first": row["scores"][0]["value"],
            "second": row["scores"][1]["value"],
            **{name: paired[name] for name in ("value", "low", "high")},
        }

    def _model(self) -> dict[str, Any]:
        return {
            "mode": "text",
            "prompts": "plain",
            "synonyms": False,
            "sizes": (self._config.sizes.side,),
            "view": ViewSettings(scale=(0.8, 1.2)),
            "network": NetworkSettings(
                trunk=TrunkSettings(kind="small", norm="group", width=64),
                proposals=ProposalSettings(
                    anchor_sizes=(16.0, 32.0, 64.0), train=100, test=60, before_nms=300,
                    regions_per_picture=48, anchors_per_picture=96,
                ),
                heads=HeadSettings(convs=0, layers=2, width=256, masks=False),
            ),
        }  # fmt: skip

    def _detector(
        self, name: str, model: VildConfig, data: DataConfig, *, steps: int, lr: float, seed: int
    ) -> Path:
        config = TrainConfig(
            model=model,
            data=data,
            objective=VildObjectiveConfig(),
            optim=OptimConfig(
                lr=lr, warmup_steps=min(50, steps // 5), weight_decay=0.05, betas=(0.9, 0.999)
            ),
            duration=Duration(f"{steps}steps"),
            global_batch_size=self._config.batch,
            **_shared(seed),
        )
        return self._trained(name, config)

    def _trained(self, name: str, config: TrainConfig) -> Path:
        out = self._work / name
        if not any((out / "export").glob("*_config.json")):
            began = time.perf_counter()
            train(config, out=out, resume="auto")
            print(f"  {name}: trained in {time.perf_counter() - began:.0f} s", flush=True)
        return out


def _shared(seed: int) -> dict[str, Any]:
    return {
        "seed": seed,
        "threads": 1,
        "logging": LoggingConfig(every=Duration("50steps")),
        "checkpoint": CheckpointConfig(every=Duration("1000000steps"), every_minutes=2.0),
    }


def measured(study: Study, config: StudyConfig) -> dict[str, Any]:
    """AP50 in points (0 to 100) by way, and what replay saves."""
    start = study.start()
    seeds = range(config.seed, config.seed + config.seeds)
    figures: dict[str, Any] = {}
    for way in WAYS:
        runs = [study.fine_tuned(way, seed) for seed in seeds]
        for told, data in (("general", study.data.general_test), ("own", study.data.own_test)):
            rows = [study.difference(start, run, data) for run in runs]
            key = f"{way.replace(' ', '_')}_{told}"
            figures[f"start_{told}"] = _points(rows[0]["first"])
            figures[key] = _over_seeds([row["second"] for row in rows])
            figures[f"{key}_change"] = _over_seeds([row["value"] for row in rows])
            print(f"  {way}, {told}: {figures[f'start_{told}']} -> {figures[key]}", flush=True)
    pairs = [(study.fine_tuned("own alone", s), study.fine_tuned("with replay", s)) for s in seeds]
    for told, data in (("general", study.data.general_test), ("own", study.data.own_test)):
        rows = [study.difference(alone, replayed, data) for alone, replayed in pairs]
        figures[f"replay_saves_{told}"] = _over_seeds([row["value"] for row in rows])
        figures[f"replay_saves_{told}_by_seed"] = [
            [_points(row[name]) for name in ("value", "low", "high")] for row in rows
        ]
    return figures


def _over_seeds(values: list[float]) -> list[float]:
    """Mean, and with several seeds the ends of Student's 95% interval."""
    mean = float(np.mean(values))
    if len(values) == 1:
        return [_points(mean)]
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5)
    return [_points(mean), _points(mean - half), _points(mean + half)]


def _points(share: float) -> float:
    return round(100 * share, 2)


def _config(args: argparse.Namespace) -> StudyConfig:
    if args.quick:
        sizes = Sizes(
            general_names=12, own_names=3, general=400, general_test=60, own=60, own_test=40,
            teacher_pairs=600, side=96,
        )  # fmt: skip
        return StudyConfig(
            sizes=sizes, teacher_epochs=6.0, steps=240, fine_steps=50, batch=8, lr=1e-3,
            fine_lr=5e-4, seeds=args.seeds or 2, seed=args.seed,
        )  # fmt: skip
    sizes = Sizes(
        general_names=24, own_names=6, general=1200, general_test=160, own=100, own_test=100,
        teacher_pairs=3000, side=96,
    )  # fmt: skip
    return StudyConfig(
        sizes=sizes, teacher_epochs=12.0, steps=500, fine_steps=100, batch=16, lr=1e-3,
        fine_lr=5e-4, seeds=args.seeds or 3, seed=args.seed,
    )  # fmt: skip


def main() -> int:
    """Measure and report; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, help="folder that is kept (default: a temporary one)")
    parser.add_argument("--quick", action="store_true", help="half the names and steps, two seeds")
    parser.add_argument("--seeds", type=int, help="fine-tunings of each way (default 3)")
    parser.add_argument("--seed", type=int, default=0, help="of the first, and of the start")
    parser.add_argument("--save", action="store_true", help="append the record to results/")
    args = parser.parse_args()
    config, environment, began = _config(args), describe(), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="forgetting-") as temporary:
        study = Study(args.work or Path(temporary), config)
        study.data.make(config.sizes)
        figures = measured(study, config)
    figures["seconds"] = round(time.perf_counter() - began)
    for name, value in figures.items():
        print(f"  {name:36} {value}")
    finish("detection_forgetting", figures, environment, config=asdict(config), save=args.save)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
