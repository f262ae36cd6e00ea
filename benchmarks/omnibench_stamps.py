"""Does a removed modality leave nothing but chance, and a kept one more than it?

Real pictures with real recordings of their names and sounds, as questions in OmniBench's form, each
known to need the picture, the recording, or both. A picture CLIP and a spectrogram CLIP, trained
here by ``vlsuite train`` without any picture or recording of the test half, answer them in all
eight settings through the dual encoder. Training takes about 7 minutes a model on one core, data
3 more; a second run finds all that in the work folder and only scores.

    python -m benchmarks.omnibench_stamps --stamps stamps-000000.tar
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.support.data_folder import VARIABLE, file_named
from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.stamps_questions import (
    KINDS,
    NEEDS,
    make_questions,
    read_kinds,
    write_questions,
)
from benchmarks.support.stamps_samples import Stamp, divide, read_stamps
from benchmarks.support.stamps_training import picture_samples, write_sound_set
from data_pipelines.shards.write import write_pairs
from data_pipelines.spectrogram import SpectrogramConfig
from eval.metrics.intervals import wilson_score
from eval.omnibench.outcomes import hits, outcomes_of
from eval.omnibench.read_questions import read_questions
from eval.respondents.dual_encoder import DualConfig, DualEncoder
from eval.respondents.question import SETTINGS, Setting, prompted
from eval.respondents.sound_models import load_sound_model
from eval.results import Score
from vlsuite.cli.main import main as main_of_vlsuite
from vlsuite.models.folders import is_finished
from vlsuite.models.opening import open_model

_STAMPS = "stamps-000000.tar"

CHANCE = 0.25

#: What one of two needed modalities can reach: it leaves two options of four.
ONE_OF_TWO = 0.5

_SOUND_PICTURES = SpectrogramConfig(side=64, seconds=2.56, range_db=60.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """How much data and training.

    Attributes:
        voices: synthetic ones.
        repeat: changed copies of each real training recording.
        picture_repeat: of each training stamp, beside thousands of other pictures.
        picture_duration, sound_duration: of training.
        questions: of each kind at most; 0 for all.
    """

    voices: int = 10
    repeat: int = 8
    picture_repeat: int = 4
    picture_duration: str = "6epochs"
    sound_duration: str = "8epochs"
    questions: int = 0


_QUICK = Effort(
    voices=1, repeat=0, picture_repeat=1, picture_duration="5steps", sound_duration="5steps",
    questions=12,
)  # fmt: skip


def main() -> int:
    """Run the benchmark; returns the exit code."""
    args = _arguments()
    args.stamps = file_named(args.stamps, _STAMPS, option="--stamps TAR")
    if args.quick:
        with tempfile.TemporaryDirectory(prefix="omnibench-stamps-") as folder:
            return _run(args, Path(folder), _QUICK)
    return _run(args, args.work, Effort())


def _run(args: argparse.Namespace, work: Path, effort: Effort) -> int:
    work.mkdir(parents=True, exist_ok=True)
    stamps = read_stamps(args.stamps)
    train, test = divide(stamps, test_share=args.test_share, seed=args.seed)
    _write_questions(work / "questions", test, effort, seed=args.seed)
    others = (
        [] if args.quick else [*_emoji(work), *sorted(args.stamps.parent.glob("clipart-*.tar"))]
    )
    seconds = {
        "picture": _train_pictures(work, train, others, effort, seed=args.seed),
        "sound": _train_sounds(work, stamps, train, effort, seed=args.seed),
    }
    table = _scores(work, seed=args.seed)
    _print(table)
    figures = {
        "settings": {
            s: {k: _figure(score) for k, score in row.items()} for s, row in table.items()
        },
        "chance": CHANCE,
        "one_of_two_can_reach": ONE_OF_TWO,
        **_verdicts(table),
        "train_cpu_seconds": seconds,
        "train_stamps": len(train),
        "test_groups": len(test),
    }
    config = {**asdict(effort), "seed": args.seed, "test_share": args.test_share}
    finish("omnibench_stamps", figures, describe(), config=config, save=args.save)
    return 0


def _write_questions(
    folder: Path, test: Sequence[Sequence[Stamp]], effort: Effort, *, seed: int
) -> None:
    questions = make_questions(test, seed=seed)
    if effort.questions:
        by_kind = {kind: [q for q in questions if q.kind == kind] for kind in KINDS}
        questions = [q for own in by_kind.values() for q in own[: effort.questions]]
    write_questions(questions, folder)


def _emoji(work: Path) -> list[Path]:
    """The emoji set's training half, which has names in many languages."""
    folder = work / "emoji"
    if not (folder / "manifest.json").is_file():
        _vlsuite("data", "build", "emoji", "--out", str(folder), "--overwrite")
    return [folder / "train"]


def _train_pictures(
    work: Path, train: Sequence[Stamp], others: Sequence[Path], effort: Effort, *, seed: int
) -> float | None:
    data = work / "pictures"
    if not (data / "manifest.json").is_file():
        samples = picture_samples(train, others, repeat=effort.picture_repeat, seed=seed)
        write_pairs(samples, data)
    settings = {"data.augment.outline_probability": "0.1", "duration": effort.picture_duration}
    return _train(work / "picture_run", data, settings, seed=seed)


def _train_sounds(
    work: Path, stamps: Sequence[Stamp], train: Sequence[Stamp], effort: Effort, *, seed: int
) -> float | None:
    data = work / "sounds"
    if not (data / "manifest.json").is_file():
        write_sound_set(
            stamps,
            train,
            data,
            _SOUND_PICTURES,
            num_voices=effort.voices,
            repeat=effort.repeat,
            seed=seed,
        )
    unlike_photos = ("outline_probability", "rotation", "translation", "zoom_out",
                     "flip_probability", "grayscale_probability")  # fmt: skip
    settings = {f"data.augment.{name}": "0" for name in unlike_photos} | {
        "model.name": "vlsuite-micro-32",
        "model.image_size": "64",
        "data.augment.crop_scale": "0.75,1.0",
        "data.augment.crop_ratio": "0.9,1.1",
        "duration": effort.sound_duration,
    }
    return _train(work / "sound_run", data, settings, seed=seed)


def _train(run: Path, data: Path, settings: dict[str, str], *, seed: int) -> float | None:
    """Seconds of processor time that training took; None where the model was there."""
    if is_finished(run):
        return None
    tokenizer = run.with_name(f"{run.name}_tokenizer")
    words = ["data", "tokenizer", str(data), "--vocab-size", "4000", "--context-length", "40"]
    main_of_vlsuite([*words, "--out", str(tokenizer)])
    settings = settings | {
        "data.train": str(data),
        "model.tokenizer": str(tokenizer),
        "model.context_length": "40",
        "seed": str(seed),
        "threads": "1",
        "validation.data": "",
        "checkpoint.every": "2epochs",
    }
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    before = _child_seconds()
    _vlsuite("train", "emoji", "--out", str(run), "--auto-resume", *words)
    return round(_child_seconds() - before, 1)


def _vlsuite(*words: str) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"}
    command = [sys.executable, "-m", "vlsuite", *words]
    print(f"$ vlsuite {' '.join(words[:2])} ... {words[-1]}", flush=True)
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def _child_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _scores(work: Path, *, seed: int) -> dict[str, dict[str, Score]]:
    """Accuracy by setting and kind; and what options alone tell, as a setting of its own."""
    found, kinds = read_questions(work / "questions"), read_kinds(work / "questions")
    picture, sound = (
        open_model(str(work / "picture_run")),
        load_sound_model(str(work / "sound_run")),
    )
    encoder = DualEncoder(picture, sound, config=DualConfig(question="never"))
    blind = DualEncoder(picture, sound, config=DualConfig(question="never", part="options"))
    of_question = np.array([kinds[question.index] for question in found.questions])
    table = {}
    for name, model, setting in [
        *((s.name, encoder, s) for s in SETTINGS.values()),
        ("options alone", blind, SETTINGS["image_audio"]),
    ]:
        asked = [prompted(question, setting) for question in found.questions]
        responses = {(r.index, r.setting): r for r in model.respond(asked)}
        outcomes = outcomes_of(
            found.questions, responses, setting=setting.name, parse=lambda text, options: None
        )
        right = hits(outcomes)
        table[name] = {kind: wilson_score(right[of_question == kind]) for kind in KINDS}
    return table


def is_shown(kind: str, setting: Setting) -> str:
    """How much of what a kind needs the setting shows: "all", "half" or "none"."""
    has = {"image": setting.image != "none", "audio": setting.audio != "none"}
    needed = ("image", "audio") if NEEDS[kind] == "both" else (NEEDS[kind],)
    count = sum(has[modality] for modality in needed)
    return "all" if count == len(needed) else "half" if count else "none"


def _verdicts(table: dict[str, dict[str, Score]]) -> dict[str, Any]:
    cells = [(s, k, table[s][k], is_shown(k, SETTINGS[s])) for s in SETTINGS for k in KINDS]
    none = [cell for cell in cells if cell[3] == "none"]
    every = [cell for cell in cells if cell[3] == "all"]
    half = [cell for cell in cells if cell[3] == "half"]
    return {
        "removed_cells": len(none),
        "removed_off_chance": [f"{s}/{k}" for s, k, x, _ in none if not x.low <= CHANCE <= x.high],
        "kept_cells": len(every),
        "kept_not_above_chance": [f"{s}/{k}" for s, k, x, _ in every if x.low <= CHANCE],
        "half_cells": len(half),
        "half_above_one_of_two": [f"{s}/{k}" for s, k, x, _ in half if x.low > ONE_OF_TWO],
    }


def _figure(score: Score) -> dict[str, float]:
    return {
        "accuracy": round(score.value, 4),
        "low": round(score.low, 4),
        "high": round(score.high, 4),
        "n": score.n,
    }


def _print(table: dict[str, dict[str, Score]]) -> None:
    print(f"{'setting':<20}" + "".join(f"{kind:>26}" for kind in KINDS))
    marks = {"all": " ", "half": "h", "none": "x"}
    for name, row in table.items():
        cells = []
        for kind, score in row.items():
            mark = marks[is_shown(kind, SETTINGS[name])] if name in SETTINGS else "x"
            low, high = 100 * score.low, 100 * score.high
            cells.append(f"{mark} {100 * score.value:.1f} ({low:.1f} to {high:.1f}) {score.n:>3}")
        print(f"{name:<20}" + "".join(f"{cell:>26}" for cell in cells))
    print("x: nothing of what the kind needs is shown (chance 25); h: one of two (at most 50)")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--stamps",
        type=Path,
        metavar="TAR",
        help="png, json with captions by language, speech.ogg, sound.ogg; clipart-*.tar beside it "
        f"is learned from too (default: {_STAMPS} of ${VARIABLE})",
    )
    add("--work", type=Path, default=Path("runs/omnibench_stamps"), metavar="DIR", help="kept")
    add("--test-share", type=float, default=0.4, help="of the groups of stamps")
    add("--seed", type=int, default=0)
    add("--quick", action="store_true", help="a few steps of training; figures mean nothing")
    add("--save", action="store_true", help="append to benchmarks/results")
    return parser.parse_args()


if __name__ == "__main__":
    run_as_program(main)
