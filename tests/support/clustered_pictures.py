"""Pictures of classes that a model can tell apart to some degree, with pictures to learn from."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.evaluation_data import write_evaluation_folder


def classed(count: int, *, num_classes: int, first: int = 0) -> list[dict[str, bytes]]:
    """Samples of classes in turn: the pattern of the class under noise of its own."""
    return [_sample(number, number % num_classes) for number in range(first, first + count)]


def write_splits(
    root: Path, names: Sequence[str], *, train: int, test: int, validation: int = 0
) -> Path:
    """A CLIP_benchmark folder with so many pictures in the splits train, test and val."""
    first = 0
    for split, count in (("train", train), ("test", test), ("val", validation)):
        if count:
            samples = classed(count, num_classes=len(names), first=first)
            write_evaluation_folder(root, samples, split=split, class_names=names)
            first += count
    return root


def _sample(number: int, label: int) -> dict[str, bytes]:
    pattern = np.random.default_rng(label).normal(128, 60, size=(4, 4, 3))
    noise = np.random.default_rng(1000 + number).normal(0, 60, size=(4, 4, 3))
    pixels = np.clip(pattern + noise, 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).resize((16, 16), Image.Resampling.NEAREST).save(stream, format="PNG")
    return {"png": stream.getvalue(), "cls": str(label).encode()}
