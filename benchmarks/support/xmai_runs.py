"""What the XMAI benchmark runs: trainings, detections, perturbations and evaluations, by command.

Everything goes through ``vlsuite.cli.main`` as a user would call it; its output goes to a log.
"""

import contextlib
import hashlib
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.support.emoji_attributes import TRUTH_FILE
from data_pipelines.errors import UserError
from eval.contract import EmbeddingModel
from eval.data.folders import open_dataset
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import RememberingEmbedder, StreamingEmbedder
from eval.metrics.clustered_table import ClusteredTable
from eval.results import Score
from eval.task_choices import TaskChoices
from eval.xmai.attributes import GROUPS, canonical
from eval.xmai.records import PerturbedCaption, read_perturbed
from eval.xmai.retrieval import AttributeInsertions, InsertionOptions
from vlsuite.cli.main import main as vlsuite
from vlsuite.models.folders import is_finished

_PERTURBED = "perturbed.jsonl"
_POLL_SECONDS = 0.02


class Precision(NamedTuple):
    """Of inserted attributes whose group has a known truth, the share that equals it."""

    score: Score | None
    num_unknown: int
    by_group: dict[str, tuple[int, int]]


def run_command(log: Path, *words: object) -> None:
    """One command of vlsuite, its output in a log.

    Raises:
        UserError: it fails; names the log.
    """
    given = [str(word) for word in words]
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("a", encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        code = vlsuite(given)
    if code:
        last = log.read_text(encoding="utf-8").strip().splitlines()[-1:]
        raise UserError(f"vlsuite {' '.join(given[:2])} failed: {''.join(last)} (log: {log})")


def train_clip(
    folder: Path, data: Path, tokenizer: Path, *, seed: int, settings: Sequence[str]
) -> Path:
    """A small CLIP of the emoji recipe, in a process of its own; kept where it is finished.

    Raises:
        UserError: the training fails; names the log.
    """
    if is_finished(folder):
        return folder
    log = folder.parent / f"{folder.name}.log"
    chosen = [f"data.train={data}", f"model.tokenizer={tokenizer}", f"seed={seed}", *settings]
    words = [sys.executable, "-m", "vlsuite", "train", "emoji", "--out", str(folder)]
    words += [word for setting in chosen for word in ("--set", setting)]
    with log.open("a", encoding="utf-8") as file:
        done = subprocess.run(words, stdout=file, stderr=file, check=False)
    if done.returncode:
        raise UserError(f"training {folder.name} failed (log: {log})")
    return folder


def perturb(out: Path, data: Path, method: str, options: Sequence[object]) -> tuple[Path, float]:
    """The perturbed file and the seconds it took, models loaded anew."""
    begun = time.perf_counter()
    words = ("xmai", "perturb", data, "--method", method, "--out", out, *options)
    run_command(out.parent / "perturb.log", *words)
    return out / _PERTURBED, time.perf_counter() - begun


def killed_and_resumed(
    out: Path, data: Path, options: Sequence[object], *, chunks: int
) -> tuple[Path, int]:
    """The file of a run that was killed (SIGKILL) at about half of its parts, and their number.

    Args:
        chunks: parts of the whole run.
    """
    words = ["xmai", "perturb", str(data), "--out", str(out), *map(str, options)]
    process = subprocess.Popen(
        [sys.executable, "-m", "vlsuite", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None:
        parts = [path for path in out.rglob("*") if path.is_file() and path.suffix == ".jsonl"]
        if len(parts) >= max(1, chunks // 2):
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(_POLL_SECONDS)
    process.wait()
    num_parts = 0 if (out / _PERTURBED).exists() else len(list(out.rglob("*.jsonl")))
    run_command(out.parent / "perturb.log", *words)
    return out / _PERTURBED, num_parts


def precision(captions: Sequence[PerturbedCaption], data: Path, *, seed: int) -> Precision:
    """Of the inserted attributes against the truth that was taken out of the captions."""
    truths: Mapping[str, Mapping[str, str]] = json.loads((data / TRUTH_FILE).read_text())
    group_of = {word: group for group, words in GROUPS.items() for word in words}
    values, pictures, numbers = [], [], {}
    counts: dict[str, Counter[bool]] = {}
    num_unknown = 0
    for caption in captions:
        for insertion in caption.insertions:
            word = canonical(insertion.word)
            group = group_of.get(word, "")
            truth = truths.get(caption.uid, {}).get(group)
            if truth is None:
                num_unknown += 1
                continue
            is_right = canonical(truth) == word
            values.append(float(is_right))
            pictures.append(numbers.setdefault(caption.uid, len(numbers)))
            counts.setdefault(group, Counter())[is_right] += 1
    by_group = {group: (own[True], own.total()) for group, own in sorted(counts.items())}
    if not values:
        return Precision(None, num_unknown, by_group)
    table = ClusteredTable({"right": np.array(values)}, np.array(pictures), seed=seed)
    return Precision(table.score("right"), num_unknown, by_group)


def falls(
    model: EmbeddingModel, data: Path, files: Mapping[str, Path], *, seed: int
) -> dict[str, dict[str, Score]]:
    """All scores of the retrieval task for each file, on one pass over the pictures."""
    dataset = open_dataset(str(data), task="retrieval")
    embedder = RememberingEmbedder(
        StreamingEmbedder(decoder=StreamingDecoder(batch_size=64, workers=1))
    )
    scores = {}
    for name, path in files.items():
        options = InsertionOptions(captions=(str(path),))
        task = AttributeInsertions.build(dataset, TaskChoices(options=(options,), seed=seed))
        scores[name] = task.run(model, embedder).scores
    return scores


def captions_in(path: Path) -> tuple[PerturbedCaption, ...]:
    """The captions of a perturbed file."""
    return read_perturbed(path).captions


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
