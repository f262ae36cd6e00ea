"""Corruptions applied in memory: accuracy under ImageNet-C's 15 + 4 kinds at 5 severities.

Hendrycks and Dietterich 2019, arXiv 1903.12261. Pictures are resized and cropped as for the
published files (256 and 224 pixels), corrupted, and shown through the model's own transform, all
cells on one decoding of each picture. Unlike the files, the corrupted pictures are not stored as
JPEG: results say ``source: memory`` and must not be mixed with those of ``corruption_files``.
Clean accuracy is that of the same crop. CE divides by AlexNet's errors on ImageNet-C and is only
given for ImageNet's classes with its constants.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast, get_args

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from data_pipelines.errors import DataError
from data_pipelines.schema import JsonValue
from data_pipelines.texts import listed
from eval.contract import Embedder, EmbeddingModel, Need
from eval.corruptions.apply import corrupt
from eval.corruptions.severities import (
    ALL_CORRUPTIONS,
    CORRUPTIONS,
    EXTRA_CORRUPTIONS,
    FRAME_SIZES,
    SEVERITIES,
    ConstantSet,
)
from eval.data.dataset import EvalDataset
from eval.data.imagenet_layouts import imagenet_classes
from eval.data.raw_image import RawImage
from eval.data.subset import chosen_images
from eval.data.views import CropFrame, FrameView
from eval.metrics.intervals import CLUSTERED, WILSON, wilson_score
from eval.results import EvalResult, Origin, PerImage, Score, Settings
from eval.robustness.cell_scores import ERROR_TITLES, Cells
from eval.task_choices import TaskChoices, task_options
from eval.tasks import TaskFacts, registry
from eval.zero_shot.prompted import PromptedTask
from eval.zero_shot.templates import no_classes

NOT_TO_BE_MIXED = "made in memory: never to be mixed with figures from ImageNet-C's files"

_GROUPS = {"all": CORRUPTIONS, "extra": EXTRA_CORRUPTIONS}
_SMALL_PICTURE = 64  # pixels: sets such as CIFAR, for which there are other constants


@dataclass(frozen=True, slots=True)
class CorruptedView:
    """One cell.

    Args:
        corruption, severity: which.
        constants: of which published set.
        seed: of the draws, with each picture's id.
        frost_dir: folder of the original frost pictures; empty for our own.
    """

    corruption: str
    severity: int
    constants: ConstantSet
    seed: int
    frost_dir: str = ""

    @property
    def key(self) -> str:
        """See ``View``."""
        frost = f" {self.frost_dir}" if self.corruption == "frost" and self.frost_dir else ""
        return f"{self.corruption} {self.severity} {self.constants} seed {self.seed}{frost}"

    @property
    def frame(self) -> CropFrame:
        """See ``View``."""
        return frame_of(self.constants)

    @property
    def needs_transform(self) -> bool:
        """The frame is the published one, not the model's."""
        return True

    def apply(
        self, frames: UInt8[Tensor, "batch 3 height width"], image_ids: Sequence[int]
    ) -> UInt8[Tensor, "batch 3 height width"]:
        """See ``View``."""
        return corrupt(
            frames,
            self.corruption,
            self.severity,
            image_ids=image_ids,
            seed=self.seed,
            constants=self.constants,
            frost_dir=Path(self.frost_dir) if self.frost_dir else None,
        )


@task_options.register("corruptions")
@dataclass(frozen=True, kw_only=True, slots=True)
class CorruptionOptions:
    """Choices of the corruption tasks.

    Attributes:
        kinds: names of corruptions, or "all" for the 15, "extra" for the other 4.
        severities: some of 1 to 5.
        constants: "imagenet-c" (224 px frames), "cifar-c" (32 px), or "auto" by picture size.
        frost_dir: folder with the six frost pictures of ImageNet-C; empty draws our own.
        max_images: use a seeded choice of so many images; 0 uses all.
    """

    kinds: tuple[str, ...] = ("all", "extra")
    severities: tuple[int, ...] = (1, 2, 3, 4, 5)
    constants: str = "auto"
    frost_dir: str = ""
    max_images: int = 0


@registry.register("corruptions")
@dataclass(frozen=True, kw_only=True, slots=True)
class Corruptions(PromptedTask):
    """Accuracy under corruptions made in memory; mCE where all 75 cells are asked for.

    Args:
        dataset: the chosen images, with labels and class names.
        templates: prompts with ``{c}``.
        kinds: names of corruptions.
        severities: some of 1 to 5.
        constants: of which published set.
        frost_dir: folder of the original frost pictures; empty for our own.
        seed: of all draws and the bootstrap.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        uses=("classes",),
        options=CorruptionOptions,
        title="Corruptions, made in memory",
        score_titles=ERROR_TITLES,
        headlines=("mean_corrupted_top1", "mean_corruption_error"),
    )

    kinds: tuple[str, ...]
    severities: tuple[int, ...]
    constants: ConstantSet
    frost_dir: str

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        return no_classes(dataset) or _problem(choices.of(CorruptionOptions))

    @classmethod
    def chosen(cls, dataset: EvalDataset, choices: TaskChoices) -> dict[str, Any]:
        """See ``PromptedTask``."""
        options = choices.of(CorruptionOptions)
        return {
            "dataset": chosen_images(dataset, options.max_images, seed=choices.seed),
            "kinds": kinds_of(options.kinds),
            "severities": tuple(sorted(set(options.severities))),
            "constants": constants_for(dataset, options.constants),
            "frost_dir": options.frost_dir,
        }

    @property
    def name(self) -> str:
        """Of the task."""
        return "corruptions"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return {
            "source": "memory",
            "templates": list(self.templates),
            "kinds": list(self.kinds),
            "severities": list(self.severities),
            "constants": self.constants,
            "frost": self.frost_dir or "drawn by vlsuite: not the published pictures",
            "seed": self.seed,
        }

    def needs(self) -> tuple[Need, ...]:
        """See ``Benchmark``."""
        views = [view for view, _, _ in self._cells()]
        return (Need(self.dataset, (self._clean_view(), *views)),)

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Rank the classes for every picture in every cell."""
        clean_rows, clean = self.viewed_hits(model, embedder, self._clean_view())
        hits, cells, sources = [], [], []
        per_image = {"top1_clean": PerImage.pack(clean, clean_rows, len(self.dataset))}
        for view, kind, severity in self._cells():
            rows, own = self.viewed_hits(model, embedder, view)
            hits.append(own)
            sources.append(rows)
            cells.append(np.tile([ALL_CORRUPTIONS.index(kind), severity], (len(rows), 1)))
            per_image[f"top1_{kind}_{severity}"] = PerImage.pack(own, rows, len(self.dataset))
        table = Cells(np.concatenate(hits), np.concatenate(cells), np.concatenate(sources))
        scores = self._scores(table, clean)
        accuracy: dict[str, JsonValue] = {name: {**own} for name, own in table.accuracy().items()}
        left_out = self.dataset.left_out(len(self.dataset) - len(clean_rows))
        return EvalResult(
            benchmark=self.name,
            family="robustness",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores=scores,
            chance={
                name: 1 / len(self.class_names)
                for name in scores
                if "top1" in name and scores[name].unit == "share"
            },
            num_samples=len(clean_rows),
            num_skipped=sum(left_out.values()),
            origin=Origin(
                seed=self.seed,
                data_revision=self.dataset.revision,
                interval=f"{NOT_TO_BE_MIXED}; {CLUSTERED.replace('images', 'source pictures')}; "
                f"clean accuracy: {WILSON}",
            ),
            details=self.settings()
            | {"accuracy": accuracy, "note": NOT_TO_BE_MIXED}
            | self.dataset.remarks(left_out),
            per_image=per_image,
            per_unit=table.per_unit(CORRUPTIONS),
        )

    def _scores(self, table: Cells, clean: np.ndarray) -> dict[str, Score]:
        scores = {"top1_clean": wilson_score(clean)}
        mean = table.mean_top1(CORRUPTIONS, seed=self.seed)
        if mean is not None:
            scores["mean_corrupted_top1"] = mean
        if self.is_comparable and not table.absent():
            scores |= table.errors(scores["top1_clean"], seed=self.seed)
        return scores | table.top1(seed=self.seed)

    @property
    def is_comparable(self) -> bool:
        """Whether these are ImageNet's classes and constants, as AlexNet's errors are."""
        known = imagenet_classes(self.class_names)
        return self.constants == "imagenet-c" and known is not None and len(known) == 1000

    def _clean_view(self) -> FrameView:
        return FrameView(frame_of(self.constants), needs_transform=True)

    def _cells(self) -> list[tuple[CorruptedView, str, int]]:
        return [
            (
                CorruptedView(kind, severity, self.constants, self.seed, self.frost_dir),
                kind,
                severity,
            )
            for kind in self.kinds
            for severity in self.severities
        ]


def frame_of(constants: ConstantSet) -> CropFrame:
    """The crop that a set of constants was published for."""
    side = FRAME_SIZES[constants]
    return CropFrame(256, side) if constants == "imagenet-c" else CropFrame(side, side)


def kinds_of(asked: Sequence[str]) -> tuple[str, ...]:
    """Names of corruptions, groups spelled out, each once."""
    names = [name for word in listed(asked) for name in _GROUPS.get(word, (word,))]
    return tuple(dict.fromkeys(names))


def constants_for(dataset: EvalDataset, asked: str) -> ConstantSet:
    """The set asked for; "auto" takes cifar-c for pictures of at most 64 pixels a side."""
    if asked != "auto":
        return cast(ConstantSet, asked)
    for row in range(len(dataset)):
        try:
            size = RawImage(dataset.images.members(row), 0).rgb.size
        except DataError:
            continue
        return "cifar-c" if max(size) <= _SMALL_PICTURE else "imagenet-c"
    return "imagenet-c"


def _problem(options: CorruptionOptions) -> str | None:
    """What is wrong with the choices, None where nothing."""
    unknown = [name for name in kinds_of(options.kinds) if name not in ALL_CORRUPTIONS]
    if unknown or not options.kinds:
        name = unknown[0] if unknown else ""
        close = difflib.get_close_matches(name, (*ALL_CORRUPTIONS, *_GROUPS), n=3, cutoff=0.4)
        return (
            f"corruptions.kinds has '{name}'; "
            f"{'closest' if close else 'known'}: {', '.join(close or (*_GROUPS, *ALL_CORRUPTIONS))}"
        )
    if not options.severities or not set(options.severities) <= set(SEVERITIES):
        return "corruptions.severities needs some of 1,2,3,4,5"
    sets = ("auto", *get_args(ConstantSet))
    if options.constants not in sets:
        return f"corruptions.constants is '{options.constants}'; choose {', '.join(sets)}"
    if options.max_images < 0:
        return "corruptions.max_images must not be negative; 0 uses all"
    if options.frost_dir and not Path(options.frost_dir).is_dir():
        return f"corruptions.frost_dir: {options.frost_dir} is no folder"
    return None
