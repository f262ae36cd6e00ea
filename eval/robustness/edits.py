"""Does the object or everything around it decide? One edit at a time, against the same object.

Every picture with a mask or an alpha channel is composed anew: its object on gray, in the middle,
upright, at 0.6 of the side. Each edit changes one thing about that composition: background, size,
position or direction (after ImageNet-E, Li et al. 2023, arXiv 2303.17096; see ``edit_frames``).
The score of an edit is the drop of top-1 accuracy it causes on the same pictures.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Bool
from PIL import Image

from data_pipelines.errors import DataError
from data_pipelines.schema import JsonValue
from eval.contract import Embedder, EmbeddingModel, ImageEmbeddings, Need
from eval.data.dataset import EvalDataset
from eval.data.raw_image import RawImage
from eval.data.views import FrameView
from eval.metrics.intervals import WILSON, wilson_score
from eval.metrics.mean_intervals import GAINS_AND_LOSSES
from eval.metrics.paired import paired_means, paired_shares
from eval.results import EvalResult, Origin, PerImage, PerUnit, Score, Settings
from eval.robustness.edit_backgrounds import COLOURS, NOISE
from eval.robustness.edit_frames import (
    BLURRED_OWN,
    CENTRE,
    OTHER_PICTURE,
    POSITIONS,
    EditFrame,
    has_alpha,
)
from eval.task_choices import TaskChoices
from eval.tasks import TaskFacts, registry
from eval.zero_shot.prompted import PromptedTask
from eval.zero_shot.templates import no_classes

REFERENCE = EditFrame()
SCALES = (1.0, 0.8, 0.4, 0.2, 0.1)
ANGLES = (45, 90, 135, 180, 225, 270, 315)

_MASKS = ("mask.png", "seg.png")
_LOOKED_AT = 64


class Edit(NamedTuple):
    """One edit: what it changes, what it is called, and the composition it makes."""

    group: str
    name: str
    frame: EditFrame


class _Hits(NamedTuple):
    """Whether the pictures that could be composed are right, by their numbers."""

    rows: np.ndarray
    hits: np.ndarray


@registry.register("edits")
@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectEdits(PromptedTask):
    """Drops of top-1 accuracy by edit, and their means by group.

    Args:
        dataset: with labels and class names, and an object cut out in some pictures at least.
        edits: what is done to each.
        templates: prompts with ``{c}``.
        seed: of the bootstrap.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        uses=("classes", "backgrounds"),
        title="Edits of background, size, position and direction",
    )

    edits: tuple[Edit, ...]

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        if (lack := no_classes(dataset)) is not None:
            return lack
        if not _has_masks(dataset) and not _has_alpha(dataset):
            return (
                f"{dataset.title} has no objects cut out: none of its first {_LOOKED_AT} pictures "
                f"has a {dataset.layout.each('mask.png', 'seg.png')} or an alpha channel"
            )
        return None

    @classmethod
    def chosen(cls, dataset: EvalDataset, choices: TaskChoices) -> dict[str, Any]:
        """See ``PromptedTask``."""
        backgrounds = choices.companions.backgrounds
        return {"edits": edits_for(backgrounds, own_background=_has_masks(dataset))}

    @property
    def name(self) -> str:
        """Of the task."""
        return "edits"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return {
            "templates": list(self.templates),
            "seed": self.seed,
            "reference": REFERENCE.key,
            "edits": {f"{edit.group}_{edit.name}": edit.frame.key for edit in self.edits},
        }

    def needs(self) -> tuple[Need, ...]:
        """See ``Benchmark``."""
        frames = [REFERENCE, *(edit.frame for edit in self.edits)]
        return (Need(self.dataset, tuple(FrameView(frame) for frame in frames)),)

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Rank the classes for every composition and pair each with the unedited one."""
        unedited = embedder.images(model, self.dataset, FrameView(REFERENCE))
        reference = self._hits(model, embedder, unedited)
        drops: dict[str, Score] = {}
        accuracy: dict[str, JsonValue] = {}
        per_image = {"top1_unedited": self._packed(reference)}
        per_unit: dict[str, PerUnit] = {}
        lost: dict[str, list[np.ndarray]] = {}
        for edit in self.edits:
            edited = self._hits(
                model, embedder, embedder.images(model, self.dataset, FrameView(edit.frame))
            )
            before, after, rows = _common(reference, edited)
            name = f"{edit.group}_{edit.name}"
            drops[f"drop_{name}"] = _drop(paired_shares(before, after).difference)
            accuracy[name] = float(after.mean())
            per_unit[f"drop_{name}"] = PerUnit.pack(before * 1.0 - after, rows, most=2.0)
            per_image[f"top1_{name}"] = self._packed(_Hits(rows, after))
            by_picture = np.full(len(self.dataset), np.nan)
            by_picture[rows] = before.astype(np.float64) - after
            lost.setdefault(edit.group, []).append(by_picture)
        means = {f"mean_drop_{group}": self._mean_drop(parts) for group, parts in lost.items()}
        scores = {"top1_unedited": wilson_score(reference.hits)} | means | drops
        accuracies: Settings = {"accuracy": accuracy}
        left_out = dict(self.dataset.num_skipped)
        if unedited.num_skipped:
            left_out["no mask, empty mask or broken image"] = unedited.num_skipped
        assert self.dataset.layout.classes is not None
        return EvalResult(
            benchmark=self.name,
            family="robustness",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores=scores,
            chance={"top1_unedited": 1 / len(self.dataset.layout.classes.names)},
            num_samples=len(reference.rows),
            num_skipped=sum(left_out.values()),
            origin=Origin(
                seed=self.seed,
                data_revision=self.dataset.revision,
                interval=f"{WILSON}; drops: Newcombe's interval for paired shares; mean drops: "
                f"{GAINS_AND_LOSSES}, over images",
            ),
            details=self.settings() | accuracies | self.dataset.remarks(left_out),
            per_image=per_image,
            per_unit=per_unit,
        )

    def _hits(self, model: EmbeddingModel, embedder: Embedder, images: ImageEmbeddings) -> _Hits:
        return _Hits(images.rows, self.top1_hits(model, embedder, images))

    def _packed(self, found: _Hits) -> PerImage:
        return PerImage.pack(found.hits, found.rows, len(self.dataset))

    def _mean_drop(self, parts: list[np.ndarray]) -> Score:
        """Over the pictures that all edits of a group could be made of."""
        by_picture = np.mean(parts, axis=0)
        kept = by_picture[~np.isnan(by_picture)]
        return _drop(paired_means(kept, np.zeros_like(kept), unit="points", seed=self.seed))


def edits_for(backgrounds: EvalDataset | None, *, own_background: bool) -> tuple[Edit, ...]:
    """All edits that can be made.

    Args:
        backgrounds: pictures to lay objects on; None leaves that edit out.
        own_background: whether pictures have one, or are transparent around their object.
    """
    names = [name for name in COLOURS if name != REFERENCE.background] + list(NOISE)
    found = [Edit("background", n, replace(REFERENCE, background=n)) for n in names]
    if own_background:
        frame = replace(REFERENCE, background=BLURRED_OWN)
        found.append(Edit("background", BLURRED_OWN, frame))
    if backgrounds is not None:
        frame = replace(
            REFERENCE,
            background=OTHER_PICTURE,
            pictures=backgrounds.images,
            pictures_revision=backgrounds.revision,
        )
        found.append(Edit("background", OTHER_PICTURE, frame))
    found += [Edit("size", f"{scale:g}", replace(REFERENCE, scale=scale)) for scale in SCALES]
    found += [
        Edit("position", name, replace(REFERENCE, position=name))
        for name in POSITIONS
        if name != CENTRE
    ]
    found += [Edit("direction", f"{angle}", replace(REFERENCE, angle=angle)) for angle in ANGLES]
    return tuple(found)


def _common(
    first: _Hits, second: _Hits
) -> tuple[Bool[np.ndarray, " common"], Bool[np.ndarray, " common"], np.ndarray]:
    rows, one, two = np.intersect1d(
        first.rows, second.rows, assume_unique=True, return_indices=True
    )
    return first.hits[one], second.hits[two], rows


def _drop(difference: Score) -> Score:
    return replace(difference, unit="points", lower_is_better=True)


def _has_masks(dataset: EvalDataset) -> bool:
    """Whether some of the first pictures have a mask beside them, and so their own background."""
    return any(
        suffix in dataset.images.members(row)
        for row in range(min(_LOOKED_AT, len(dataset)))
        for suffix in _MASKS
    )


def _has_alpha(dataset: EvalDataset) -> bool:
    return any(_is_transparent(dataset, row) for row in range(min(_LOOKED_AT, len(dataset))))


def _is_transparent(dataset: EvalDataset, row: int) -> bool:
    try:
        return has_alpha(RawImage(dataset.images.members(row), 0))
    except (DataError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
