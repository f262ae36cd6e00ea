"""Trainings of studies: short, repeated rather than continued, and their tokenizer."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vlsuite.batches.tokenizer import train_tokenizer
from vlsuite.engine.config import TrainConfig
from vlsuite.engine.distributed import start_distributed
from vlsuite.engine.run_folder import RunFolder
from vlsuite.engine.train_loop import train
from vlsuite.models.dual_encoder.config import architecture


def train_anew(run: TrainConfig, folder: Path, evaluators: list[Any], *, recipe: str) -> Any:
    """Train from the start, whatever the folder holds; returns the state of the end.

    Args:
        recipe: what the run folder calls it.
    """
    shutil.rmtree(folder, ignore_errors=True)
    ctx = start_distributed(threads=run.threads)
    place = RunFolder(folder)
    place.create(recipe, run)
    return train(run, ctx, place, evaluators)


def make_tokenizer(captions: Sequence[str], folder: Path, *, name: str, vocab_size: int) -> None:
    """Train a tokenizer of the length that an architecture takes, unless it is there.

    Args:
        name: of the architecture.
    """
    if (folder / "tokenizer.json").is_file():
        return
    length = architecture(name)["text_cfg"].get("context_length", 77)
    train_tokenizer(captions, vocab_size=vocab_size, out_dir=folder, context_length=length)
