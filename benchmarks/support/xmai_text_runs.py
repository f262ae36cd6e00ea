"""A table of captions with drawn attributes, and ``vlsuite xmai perturb`` of any checkout on it."""

import csv
import os
import random
import subprocess
import sys
from pathlib import Path

from benchmarks.support.xmai_text_judge import Judge
from data_pipelines.errors import UserError

#: Some of every kind, as detectors trained on Visual Genome name them.
ATTRIBUTES = (
    "beautiful", "large", "small", "tall", "wet", "shiny", "dirty", "round", "old", "new", "young",
    "red", "blue", "green", "brown", "white", "black", "striped", "wooden", "metal", "plastic",
    "stone", "orange", "empty", "open",
)  # fmt: skip
_PER_NOUN = 6


def write_table(path: Path, judge: Judge, *, seed: int) -> Path:
    """In upstream's layout: every noun of a caption is an object, each with drawn attributes."""
    draws = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "caption", "objects", "attributes"])
        for number, caption in enumerate(judge.captions):
            pairs = [
                (noun, word)
                for noun in judge.nouns(caption)
                for word in draws.sample(ATTRIBUTES, _PER_NOUN)
            ]
            objects, attributes = [noun for noun, _ in pairs], [word for _, word in pairs]
            writer.writerow([number, caption.text, repr(objects), repr(attributes)])
    return path


def perturbed(tree: Path, out: Path, table: Path, method: str, nouns: str, *, seed: int) -> Path:
    """The file that a checkout writes; it runs in a process of its own.

    Raises:
        UserError: it fails; gives its last line.
    """
    words = [
        "xmai", "perturb", "--table", table, "--caption-column", "caption", "--method", method,
        "--nouns", nouns, "--matching", "direct", "--seed", seed, "--out", out,
        "--device", "cpu",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(tree.resolve())}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "vlsuite", *map(str, words)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise UserError(f"vlsuite xmai perturb of {tree} failed: {''.join(last)}")
    return out / "perturbed.jsonl"
