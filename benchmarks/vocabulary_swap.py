"""How long does a detector take to look for other names, and do names per pass change anything?

A detector of ``vild_small``'s size, with a small teacher of random weights, is asked for 65 names
and then for 1,203 (LVIS has as many): with nothing kept, with embeddings kept in a file by an
earlier process, and once more. The swap is everything from the call to the vectors; the whole call
finds things in one picture besides. Scores in passes of 40 and 80 names are held against all at
once.
"""

import argparse
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from data_pipelines.detection.vocabulary import BASE, Category, Vocabulary
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.dual_encoder.open_clip_folder import write_open_clip_folder
from vlsuite.models.vild.config import VildConfig
from vlsuite.models.vild.model import Vild
from vlsuite.recipes.vild_small import vild_small

_PASSES = (40, 80)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """``first`` and ``second``: names before and after the swap; ``side`` in pixels."""

    architecture: str
    first: int
    second: int
    prompts: str
    repeats: int
    side: int
    seed: int


def main() -> int:
    """Measure and report; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--architecture", default="vlsuite-tiny-32", help="of the teacher")
    parser.add_argument("--prompts", default="simple", help="scene, simple or plain")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="one prompt a name, 3 repeats")
    parser.add_argument("--save", action="store_true", help="append the record to results/")
    args = parser.parse_args()
    settings = Settings(
        architecture=args.architecture,
        first=65,
        second=1203,
        prompts="plain" if args.quick else args.prompts,
        repeats=3 if args.quick else 5,
        side=128,
        seed=args.seed,
    )
    environment = describe()
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(settings, Path(folder))
    for name, value in figures.items():
        print(f"  {name:28} {value}")
    finish("vocabulary_swap", figures, environment, config=asdict(settings), save=args.save)
    return 0


def measured(settings: Settings, folder: Path) -> dict[str, float]:
    """Seconds of a swap (medians of wall and CPU time), and differences of scores by passes."""
    config = _config(settings, folder)
    names = [f"thing number {number}" for number in range(settings.second)]
    kept = folder / "names"
    generator = torch.Generator().manual_seed(settings.seed)
    picture = torch.randint(
        0, 256, (3, settings.side, settings.side), generator=generator, dtype=torch.uint8
    )
    seconds, _ = _swap(_detector(config, settings), picture, names, settings, kept=kept)
    figures = {"seconds_nothing_kept": seconds["swap"]}
    runs = [
        _swap(_detector(config, settings), picture, names, settings, kept=kept)
        for _ in range(settings.repeats)
    ]
    for kind in ("swap", "swap_cpu", "call", "call_cpu"):
        ordered = sorted(run[0][kind] for run in runs)
        figures[f"seconds_{kind}"] = ordered[len(ordered) // 2]
        figures[f"seconds_{kind}_most"] = ordered[-1]
    model = runs[0][1]
    (whole,) = model.detect([picture], names, max_detections=300)
    differences = []
    for count in _PASSES:
        (found,) = model.detect([picture], names, max_detections=300, names_per_pass=count)
        is_same = torch.equal(found.labels, whole.labels)
        differences += [
            float((found.scores - whole.scores).abs().max()) if is_same else float("inf"),
            float((found.boxes - whole.boxes).abs().max()) if is_same else float("inf"),
        ]
    return {name: round(value, 4) for name, value in figures.items()} | {
        "max_diff_by_passes": max(differences),
        "num_found": len(whole.scores),
    }


def _swap(
    model: Vild, picture: torch.Tensor, names: list[str], settings: Settings, *, kept: Path
) -> tuple[dict[str, float], Vild]:
    """From the first names to all of them: seconds of the vectors alone, and of a whole call."""
    model.keep_names_in(kept)
    model.detect([picture], names[: settings.first], max_detections=300)
    found = {}
    for kind, work in (
        ("swap", lambda: model._class_embeds(names)),
        ("call", lambda: model.detect([picture], names, max_detections=300)),
    ):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        found[kind] = time.perf_counter() - wall
        found[f"{kind}_cpu"] = time.process_time() - cpu
    return found, model


def _detector(config: VildConfig, settings: Settings) -> Vild:
    """As after opening: the names of the training are known, no other."""
    torch.manual_seed(settings.seed)
    return Vild("benchmark", config.build(), device=torch.device("cpu"))


def _config(settings: Settings, folder: Path) -> VildConfig:
    torch.manual_seed(settings.seed)
    built = OpenClipConfig(name=settings.architecture).build()
    teacher = folder / "teacher"
    teacher.mkdir()
    weights = dict(built.encoder.state_dict())
    write_open_clip_folder(teacher, built, weights, logit_scale=100.0, logit_bias=None)
    own = tuple(Category(f"own {number}", number + 1, group=BASE) for number in range(65))
    (folder / "categories.json").write_bytes(Vocabulary(own).to_bytes())
    recipe = vild_small().model
    assert isinstance(recipe, VildConfig)
    return replace(
        recipe,
        mode="vild",
        teacher=OpenClipConfig(name=f"local-dir:{teacher}"),
        vocabulary=str(folder),
        prompts=settings.prompts,
    )


if __name__ == "__main__":
    run_as_program(main)
