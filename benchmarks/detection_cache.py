"""What do a teacher's kept vectors cost on the disk, what does int8 lose, what do crops cost?

1. Bytes a picture of a cache as ``vlsuite data region-embeddings`` writes it, at 300 regions of 512
   numbers, and of the study's own.
2. ViLD heads of a detection study learned from int8 and from fp32 vectors of the same regions:
   change of AP50, paired by picture and seed.
3. Seconds a picture of the teacher on crops over those of ViLD on the same proposals, one thread.

Without --study a study is made first (``benchmarks.detection_study``); a finished one is extended
by the fp32 vectors and their heads.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from benchmarks.detection_study import QUICK
from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.timed_process import work_folder
from data_pipelines.bounded_json import read_object
from data_pipelines.settings import apply_overrides, from_dict
from data_pipelines.sources.detection_scenes import DetectionScenesSource
from data_pipelines.sources.source import Target
from eval.studies.detection.detecting import EXPORT, pictures_in
from eval.studies.detection.folders import StudyFolders
from eval.studies.detection.measures import GROUPS
from eval.studies.detection.records import load_heads
from eval.studies.detection.run import run_study
from eval.studies.detection.settings import Cell, DetectionStudyConfig
from eval.studies.detection.summary import statistics_of
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.decode import decode_image
from vlsuite.models.opening import open_model
from vlsuite.models.vild.region_cache import RegionCache, RegionSource
from vlsuite.models.vild.teacher import Teacher
from vlsuite.models.vild.write_region_cache import ProposalChoice, write_regions

_REGIONS, _DIM, _PICTURES = 300, 512, 32
_MOST_BYTES, _MOST_CHANGE, _LEAST_RATIO = 160_000, 0.003, 10.0
_TIMED, _REPEATS = 24, 5


def main() -> int:
    """Run the measurement; returns the exit code."""
    return _measure(_parse())


def _measure(args: argparse.Namespace) -> int:
    environment = describe()
    with TemporaryDirectory() as work:
        figures = published_size(Path(work), num_pictures=8 if args.quick else _PICTURES)
    if args.study is not None:
        figures |= _of_study(args, args.study)
    else:
        with work_folder("detection_cache", parent=None) as work:
            figures |= _of_study(args, work)
    figures["goals"] = judged(figures)
    for name, value in figures.items():
        print(f"{name:28} {value}")
    config = {k: v.name if isinstance(v, Path) else v for k, v in vars(args).items()}
    config["backgrounds"] = [Path(one).name for one in args.backgrounds]
    finish("detection_cache", figures, environment, config=config, save=args.save)
    return 0


class _RandomTeacher(Teacher):
    """Unit vectors by chance; what a cache weighs does not depend on them."""

    def __init__(self) -> None:
        self._generator = torch.Generator().manual_seed(0)

    @property
    def embed_dim(self) -> int:
        return _DIM

    def embed_regions(
        self, picture: UInt8[np.ndarray, "rows columns 3"], boxes: Float[Tensor, "m 4"]
    ) -> Float[Tensor, "m D"]:
        return F.normalize(torch.randn(len(boxes), _DIM, generator=self._generator), dim=1)


class _Grid:
    """Proposes as many boxes as are asked for."""

    def propose(
        self, picture: UInt8[np.ndarray, "rows columns 3"], *, keep: int, nms: float
    ) -> Float[Tensor, "m 4"]:
        corners = torch.arange(keep)[:, None] * torch.tensor([0.1, 0.1])
        return torch.cat([corners, corners + 20.0], dim=1)


def published_size(work: Path, *, num_pictures: int) -> dict[str, Any]:
    """Bytes a picture at 300 regions of 512 numbers, whole files counted.

    Args:
        work: an empty folder.
        num_pictures: in the cache.
    """
    scenes = DetectionScenesSource(
        train=num_pictures, validation=1, test=1, teacher_pairs=1, categories=60, side=64,
        smallest=12, largest=28,
    )  # fmt: skip
    scenes.build(Target(out_dir=work / "scenes"))
    source = RegionSource(teacher="random", crops="none", proposals="grid")
    choice = ProposalChoice(_Grid(), _REGIONS, 0.9)
    data = DataConfig(train=(str(work / "scenes" / "train"),))
    write_regions(work / "regions", data, _RandomTeacher(), choice, source)
    cache = RegionCache.open(work / "regions")
    return {"bytes_a_picture": round(cache.num_bytes / len(cache))}


def _of_study(args: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Figures 2 and 3, from a study that is made or extended."""
    config = _config(args, out)
    seeds = range(args.seed, args.seed + (1 if args.quick else args.seeds))
    cells = [Cell("crop"), *(Cell("vild", s, v) for s in seeds for v in ("own", "fp32"))]
    folders = run_study(config, cells, out, jobs=args.jobs)
    records = load_heads(folders, judged=config.judged, digest=config.digest)
    found = statistics_of(records, seed=args.seed)
    changes = {group: found.gain("vild", "fp32", group) for group in GROUPS}
    caches = {form: RegionCache.open(folders.regions(form)) for form in ("int8", "fp32")}
    return {
        "study_regions": config.regions,
        "study_dim": caches["int8"].embed_dim,
        "study_bytes_a_picture": {
            form: round(cache.num_bytes / len(cache)) for form, cache in caches.items()
        },
        # the kept ones minus the exact ones
        "ap50_change": {
            group: None
            if one is None
            else {
                "value": round(-one.value, 5),
                "low": round(-one.high, 5),
                "high": round(-one.low, 5),
                "seeds": one.num_seeds,
            }
            for group, one in changes.items()
        },
        **_times(folders, config, min(seeds)),
    }


def _config(args: argparse.Namespace, out: Path) -> DetectionStudyConfig:
    """Of the study that is there, or of the arguments."""
    settings = StudyFolders(out).settings
    if settings.is_file():
        stored = read_object(settings)["settings"]
        return apply_overrides(from_dict(DetectionStudyConfig, stored), args.set)
    begun = DetectionStudyConfig(backgrounds=tuple(args.backgrounds))
    return apply_overrides(begun, [*(QUICK if args.quick else ()), *args.set])


def _times(folders: StudyFolders, config: DetectionStudyConfig, seed: int) -> dict[str, Any]:
    """Milliseconds a picture, median of some passes, both models in turn."""
    torch.set_num_threads(1)
    pictures = pictures_in(folders.split(config.judged))
    names = list(pictures.vocabulary.texts)
    images = [
        torch.from_numpy(np.array(decode_image(pictures.read(row)))).permute(2, 0, 1).contiguous()
        for row in range(min(_TIMED, len(pictures)))
    ]
    models = {
        cell.mode: open_model(str(folders.cell(cell) / EXPORT))
        for cell in (Cell("crop"), Cell("vild", seed))
    }
    spent: dict[str, list[float]] = {mode: [] for mode in models}
    for repeat in range(_REPEATS + 1):
        for mode, model in models.items():
            started = time.perf_counter()
            model.detect(images, names, max_detections=300)
            if repeat:  # the first warms up
                spent[mode].append(1000 * (time.perf_counter() - started) / len(images))
    middle = {mode: statistics.median(values) for mode, values in spent.items()}
    return {
        "ms_a_picture": {mode: round(value, 2) for mode, value in middle.items()},
        "ms_spread": {m: [round(min(v), 2), round(max(v), 2)] for m, v in spent.items()},
        "crop_over_vild": round(middle["crop"] / middle["vild"], 2),
        "proposals": config.proposals,
    }


def judged(figures: dict[str, Any]) -> dict[str, str]:
    """Whether each goal is met.

    Args:
        figures: of this benchmark.
    """
    change = [one for one in figures["ap50_change"].values() if one is not None]
    verdicts = {
        f"bytes a picture <= {_MOST_BYTES:,}": figures["bytes_a_picture"] <= _MOST_BYTES,
        f"|AP50 change| <= {100 * _MOST_CHANGE:g} points": bool(change)
        and max(abs(one["value"]) for one in change) <= _MOST_CHANGE,
        f"crop over vild >= {_LEAST_RATIO:g}": figures["crop_over_vild"] >= _LEAST_RATIO,
    }
    return {name: "yes" if is_met else "no" for name, is_met in verdicts.items()}


def _parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--study", type=Path, help="folder of a study, extended (default: a temporary one)")
    add("--backgrounds", nargs="+", default=[], help="photographs, for a new study")
    add("--jobs", type=int, default=2, help="processes at a time (default: %(default)s)")
    add("--seeds", type=int, default=3, help="heads of each kind (default: %(default)s)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="of the study")
    add("--seed", type=int, default=0, help="the first seed, and that of all draws")
    add("--quick", action="store_true", help="under a minute: a study of a few tiny pictures")
    add("--save", action="store_true", help="also write benchmarks/results/")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_as_program(main)
