"""Small realistic shifts: does a prediction survive that the camera moves or zooms by a pixel?

Shifman and Weiss 2024, arXiv 2404.07153. Two kinds of one-pixel shift, both without padding:
before the resize (the original picture moves) and after it (the resized picture moves under the
crop). Rescaling resizes to one or two pixels more or less and takes the same crop. Each is
measured on the model as it is and with RICS, robust inference by crop selection
(``eval.robustness.rics``), which needs no training.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from eval.contract import Embedder, EmbeddingModel, ImageEmbeddings, Need
from eval.data.dataset import EvalDataset
from eval.data.subset import chosen_images
from eval.data.views import Frame, FrameView, View
from eval.embedding.cosines import cosine_slices
from eval.embedding.unusable import unusable_by_reason
from eval.errors import EvaluationError
from eval.metrics.consistency import ONE_PIXEL_SHIFTS, shift_consistency
from eval.metrics.intervals import CLUSTERED, WILSON, wilson_score
from eval.metrics.paired import paired_shares
from eval.results import EvalResult, Origin, PerImage, Score, Settings
from eval.robustness.rics_frame import RicsCrop, smallest_picture
from eval.robustness.window_frames import MovedPicture, Window
from eval.task_choices import TaskChoices, task_options
from eval.tasks import TaskFacts, registry
from eval.zero_shot.templates import no_classes, templates_for

#: Pixels by which rescaled pictures are larger or smaller.
ZOOMS = (-2, -1, 1, 2)
_TOP1_OF = (
    "top1_plain and top1_rics are of the original without its outermost pixels: the model's own "
    "transform of the whole of it, and of the crop that RICS chooses on its grid"
)


class _Family:
    """A base view and its neighbours."""

    def __init__(self, name: str, base: View, neighbours: Sequence[View]) -> None:
        self.name = name
        self.base = base
        self.neighbours = tuple(neighbours)


@task_options.register("translation")
@dataclass(frozen=True, kw_only=True, slots=True)
class TranslationOptions:
    """Choices of the translation and rescaling task.

    Attributes:
        rics_side: shorter side of the picture as a multiple of the crop that RICS chooses from
            it. More means less of the picture in the crop, and fewer flips for most models. At 2,
            when the camera moves, a CLIP of 48 pixels trained on emoji flips on 2.0 % (95 %: 0.7
            to 5.7) of 150 photos and on 4.4 % of 1,000; another model's rate must be measured.
        max_images: use a seeded choice of so many images; 0 uses all.
    """

    rics_side: float = 2.0
    max_images: int = 0


@registry.register("translation")
@dataclass(frozen=True, kw_only=True, slots=True)
class TranslationConsistency:
    """Flip rates under one-pixel shifts and rescaling, with and without RICS.

    Args:
        dataset: the chosen images, with labels and class names.
        templates: prompts with ``{c}``.
        rics_side: shorter side of a picture as a multiple of the crop chosen from it.
        seed: of the choice of images and the bootstrap.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        uses=("classes",),
        options=TranslationOptions,
        title="Translation and rescaling",
        score_words={"rics": "with RICS"},
        headlines=("flip_rate_before_resize", "flip_rate_rics_before_resize"),
    )

    dataset: EvalDataset
    templates: tuple[str, ...]
    rics_side: float
    seed: int = 0

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        if (lack := no_classes(dataset)) is not None:
            return lack
        options = choices.of(TranslationOptions)
        if not 1 < options.rics_side <= 4:
            return (
                f"translation.rics_side is {options.rics_side:g}; give a multiple of the crop's "
                "side above 1 and up to 4"
            )
        if options.max_images < 0:
            return "translation.max_images must not be negative; 0 uses all"
        return None

    @classmethod
    def build(cls, dataset: EvalDataset, choices: TaskChoices) -> "TranslationConsistency":
        """See ``TaskKind``."""
        most = choices.of(TranslationOptions).max_images
        return cls(
            dataset=chosen_images(dataset, most, seed=choices.seed),
            templates=templates_for(dataset, choices),
            rics_side=choices.of(TranslationOptions).rics_side,
            seed=choices.seed,
        )

    @property
    def name(self) -> str:
        """Of the task."""
        return "translation"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return {
            "templates": list(self.templates),
            "rics_side": self.rics_side,
            "zooms": list(ZOOMS),
            "seed": self.seed,
        }

    def needs(self) -> tuple[Need, ...]:
        """See ``Benchmark``."""
        views = [view for f in self._families() for view in (f.base, *f.neighbours)]
        return (Need(self.dataset, tuple({view.key: view for view in views}.values())),)

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Predict every view of every image, and count changes."""
        assert self.dataset.labels is not None
        assert self.dataset.layout.classes is not None
        names = self.dataset.layout.classes.names
        classes = embedder.class_embeds(model, names, self.templates).to(model.device)
        scores: dict[str, Score] = {}
        per_image: dict[str, PerImage] = {}
        hits: dict[str, np.ndarray] = {}
        rows = self._common_rows(model, embedder)
        labels = self.dataset.labels[rows]
        for family in self._families():
            base = _at(embedder.images(model, self.dataset, family.base), rows)
            predicted = _predictions(base, classes)
            hits[family.name] = predicted == labels
            shifted, cosines = [], []
            for view in family.neighbours:
                embeds = _at(embedder.images(model, self.dataset, view), rows)
                shifted.append(_predictions(embeds, classes))
                cosines.append(_cosines(base, embeds))
            changes = np.stack(shifted, axis=1)
            found = shift_consistency(predicted, changes, np.stack(cosines, axis=1), seed=self.seed)
            name = f"flip_rate_{family.name}"
            scores[name] = found.flip_rate
            scores[f"mean_{name}"] = found.mean_flip_rate
            assert found.mean_min_cosine is not None
            scores[f"mean_min_cosine_{family.name}"] = replace(found.mean_min_cosine, unit="number")
            flipped = (changes != predicted[:, None]).any(axis=1)
            per_image[name] = PerImage.pack(flipped, rows, len(self.dataset))
        plain, rics = hits["before_resize"], hits["rics_before_resize"]
        accuracy = {"top1_plain": wilson_score(plain), "top1_rics": wilson_score(rics)}
        change = paired_shares(rics, plain).difference
        per_image |= {
            name: PerImage.pack(hit, rows, len(self.dataset))
            for name, hit in (("top1_plain", plain), ("top1_rics", rics))
        }
        left_out = self.dataset.left_out(0) | self._unusable(model, rows)
        return EvalResult(
            benchmark=self.name,
            family="robustness",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores=accuracy | {"rics_accuracy_change": replace(change, unit="points")} | scores,
            chance={"top1_plain": 1 / len(names), "top1_rics": 1 / len(names)},
            num_samples=len(rows),
            num_skipped=sum(left_out.values()),
            origin=Origin(
                seed=self.seed,
                data_revision=self.dataset.revision,
                interval=f"{WILSON}; mean flip rates and cosines: {CLUSTERED}; accuracy change: "
                "Newcombe's paired method",
            ),
            details=self.settings() | {"note": _TOP1_OF} | self.dataset.remarks(left_out),
            per_image=per_image,
        )

    def _families(self) -> list[_Family]:
        side = self.rics_side
        shifts = ONE_PIXEL_SHIFTS
        chosen = RicsCrop(side)
        resized = RicsCrop(side, zoom=0)
        return [
            _family("after_resize", Window(), [Window(0, *shift) for shift in shifts]),
            _family("before_resize", MovedPicture(), [MovedPicture(*shift) for shift in shifts]),
            _family("rescaled", Window(), [Window(zoom) for zoom in ZOOMS]),
            _family("rics_after_resize", resized, [RicsCrop(side, *s, zoom=0) for s in shifts]),
            _family("rics_before_resize", chosen, [RicsCrop(side, *s) for s in shifts]),
            _family("rics_rescaled", resized, [RicsCrop(side, zoom=zoom) for zoom in ZOOMS]),
        ]

    def _unusable(
        self, model: EmbeddingModel, rows: Int64[np.ndarray, " images"]
    ) -> dict[str, int]:
        """Pictures without a score, by reason."""
        smallest = smallest_picture(self.rics_side)
        needed = (
            f"pictures too small for translation, which needs {smallest} pixels a side at "
            f"rics_side {self.rics_side:g}"
        )
        return unusable_by_reason(
            self.dataset,
            np.setdiff1d(np.arange(len(self.dataset)), rows),
            [view.frame for view in self.needs()[0].views],
            model.image_transform,
            reasons={"too small": needed},
        )

    def _common_rows(
        self, model: EmbeddingModel, embedder: Embedder
    ) -> Int64[np.ndarray, " images"]:
        """Images that every view could be made of."""
        rows: np.ndarray | None = None
        for view in self.needs()[0].views:
            own = embedder.images(model, self.dataset, view).rows
            rows = own if rows is None else np.intersect1d(rows, own)
        if rows is None or not len(rows):
            raise EvaluationError(
                f"no image of {self.dataset.title} can be used in every view of translation, which "
                f"needs {smallest_picture(self.rics_side)} pixels a side; check the shards with "
                "'vlsuite data validate'"
            )
        return rows


def _family(name: str, base: Frame, neighbours: Sequence[Frame]) -> _Family:
    return _Family(name, FrameView(base), [FrameView(frame) for frame in neighbours])


def _at(images: ImageEmbeddings, rows: Int64[np.ndarray, " rows"]) -> Tensor:
    if len(rows) == len(images.rows):
        return images.embeds
    return images.embeds[torch.from_numpy(np.searchsorted(images.rows, rows))]


def _predictions(embeds: Tensor, classes: Tensor) -> Int64[np.ndarray, " images"]:
    """Nearest class of each image, of equal ones the first."""
    found = []
    for part in cosine_slices(embeds, classes):
        is_best = part.cosines == part.cosines.amax(dim=1, keepdim=True)
        found.append(is_best.to(torch.uint8).cpu().numpy().argmax(axis=1))
    return np.concatenate(found)


def _cosines(one: Tensor, other: Tensor) -> Float64[np.ndarray, " images"]:
    return (one.double() * other.double()).sum(dim=1).numpy()
