"""Results as an evaluation would have written them."""

from typing import Any

import numpy as np

from eval.metrics.intervals import wilson_score
from eval.report.thumbnails import thumbnail
from eval.results import EvalResult, Example, Origin, Panel, PerImage, Score, Settings
from eval.zero_shot.retrieval import RECALL_AT
from tests.support.evaluation_data import noise_png


def example_result(
    *,
    dataset: str = "unseen_emoji",
    value: float = 0.2,
    chance: float = 0.015,
    shift_of: str | None = None,
    examples: tuple[Example, ...] = (),
) -> EvalResult:
    """A retrieval result whose recalls all have the same value."""
    names = [f"{d}_recall_at_{k}" for d in ("image_to_text", "text_to_image") for k in RECALL_AT]
    details: Settings = {"num_captions": 320, "left_out": {}, "shift_of": shift_of}
    return EvalResult(
        benchmark="retrieval",
        family="zero_shot",
        dataset=dataset,
        split="test",
        model="runs/first",
        scores={name: Score(value, max(0, value - 0.03), value + 0.04, 320) for name in names},
        chance=dict.fromkeys(names, chance),
        num_samples=320,
        num_skipped=0,
        origin=Origin(
            seed=0,
            data_revision="0f" * 32,
            interval="95% Wilson score interval",
            environment={"commit": "abc1234", "hardware": "2 x CPU"},
        ),
        details=details,
        examples=examples,
    )


def zero_shot_result(
    model: str, hits: np.ndarray, *, chance: float, revision: str = "r", **more: Any
) -> EvalResult:
    """Of classification, every picture of the data set scored.

    Args:
        hits: of each picture.
        more: other fields of the result.
    """
    rows = np.arange(len(hits), dtype=np.int64)
    return EvalResult(
        benchmark="zero_shot",
        family="zero_shot",
        dataset="birds",
        split="test",
        model=model,
        scores={"top1": wilson_score(hits)},
        chance={"top1": chance},
        num_samples=len(hits),
        num_skipped=0,
        origin=Origin(seed=0, data_revision=revision, interval="Wilson"),
        per_image={"top1": PerImage.pack(hits, rows, len(hits))},
        **more,
    )


def example_pairs() -> tuple[Example, ...]:
    """One example of each direction, pictures included."""
    pictures = [thumbnail(noise_png(i)) for i in range(5)]
    captions = ["red house", "<b>old</b> boat", "cat", "small tree", "lamp"]
    texts = tuple(
        Panel(caption, similarity=0.3 - 0.01 * i, is_correct=i == 1)
        for i, caption in enumerate(captions)
    )
    images = tuple(
        Panel("", image=picture, similarity=0.3 - 0.01 * i, is_correct=i == 2)
        for i, picture in enumerate(pictures)
    )
    return (
        Example("image_to_text", Panel("", image=pictures[0]), texts, texts[1], 2),
        Example("text_to_image", Panel("cat on a roof"), images, images[2], 3),
        Example("image_to_class", Panel("", image=pictures[3]), texts, Panel("dog"), 7),
    )
