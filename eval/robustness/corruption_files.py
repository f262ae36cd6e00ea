"""The published files of ImageNet-C, read from disk.

Hendrycks and Dietterich 2019, arXiv 1903.12261: 15 corruptions at 5 severities (and 4 more that
are no part of mCE), each cell the 50,000 validation pictures, resized to 256, cropped to 224,
corrupted, and stored as JPEG of quality 85. Corruptions applied in memory lack that last step:
accuracies differ by several points, so the two are never to be mixed in one table. Results say
``source: files``. Relative mCE needs the clean validation set as a base (--base): it is shown
through the same crop, though without the stored JPEG.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Int64

from data_pipelines.schema import JsonValue
from eval.contract import Embedder, EmbeddingModel, ImageEmbeddings, Need
from eval.data.dataset import EvalDataset
from eval.data.image_folders import FileImages
from eval.data.shifted_sets import is_imagenet
from eval.data.views import CropFrame, FrameView
from eval.embedding.nearest_class import top1_hits
from eval.metrics.intervals import CLUSTERED, WILSON, wilson_score
from eval.results import EvalResult, Origin, PerImage, Score, Settings
from eval.robustness.cell_scores import ERROR_TITLES, Cells
from eval.task_choices import TaskChoices
from eval.tasks import TaskFacts, registry
from eval.zero_shot.templates import templates_for

NOT_TO_BE_MIXED = "from files: never to be mixed with corruptions applied in memory"

_CLEAN = FrameView(CropFrame(), needs_transform=True)


@registry.register("corruption_files")
@dataclass(frozen=True, kw_only=True, slots=True)
class CorruptionFiles:
    """Accuracy under each corruption, and mCE where all 75 cells are there.

    Args:
        dataset: all cells of an ImageNet-C folder together.
        base: the clean validation set, None where it is not given.
        templates: prompts with ``{c}``.
        seed: of the bootstrap.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        uses=("classes", "bases"),
        title="Corruptions, official files",
        score_titles=ERROR_TITLES,
        headlines=("mean_corruption_error",),
    )

    dataset: EvalDataset
    base: EvalDataset | None
    templates: tuple[str, ...]
    seed: int = 0

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        if isinstance(dataset.images, FileImages) and dataset.images.has_cells:
            return None
        return (
            f"{dataset.title} is no ImageNet-C folder; give one that holds folders such as "
            "gaussian_noise/3/n01440764, without --split"
        )

    @classmethod
    def build(cls, dataset: EvalDataset, choices: TaskChoices) -> "CorruptionFiles":
        """See ``TaskKind``."""
        clean = [base for base in choices.companions.bases if is_imagenet(base.name)]
        return cls(
            dataset=dataset,
            base=clean[0] if clean else None,
            templates=templates_for(dataset, choices),
            seed=choices.seed,
        )

    @property
    def name(self) -> str:
        """Of the task."""
        return "corruption_files"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        # Folders tell the cells, and are not part of the data's revision.
        assert self.dataset.layout.pictures is not None
        cells = {"/".join(f.split("/")[:2]) for f in self.dataset.layout.pictures.folders}
        return {
            "source": "files",
            "templates": list(self.templates),
            "seed": self.seed,
            "base_revision": self.base.revision if self.base else None,
            "cells": [*sorted(cells)],
        }

    def needs(self) -> tuple[Need, ...]:
        """See ``Benchmark``."""
        base = (Need(self.base, (_CLEAN,)),) if self.base else ()
        return (Need(self.dataset), *base)

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Rank the classes for every picture and count by cell."""
        images = embedder.images(model, self.dataset)
        hits = self._hits(model, embedder, self.dataset, images)
        cells = self._cells(hits, images.rows)
        clean = self._clean(model, embedder)
        scores = ({} if cells.absent() else cells.errors(clean, seed=self.seed)) | cells.top1(
            seed=self.seed
        )
        if clean is not None:
            scores["top1_clean"] = clean
        accuracy: dict[str, JsonValue] = {name: {**own} for name, own in cells.accuracy().items()}
        remarks: Settings = {
            "accuracy": accuracy,
            "note": NOT_TO_BE_MIXED,
            "cells_missing_for_mce": [*cells.absent()],
        }
        left_out = self.dataset.left_out(images.num_skipped)
        assert self.dataset.layout.classes is not None
        num_classes = len(self.dataset.layout.classes.names)
        return EvalResult(
            benchmark=self.name,
            family="robustness",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores=scores,
            chance={name: 1 / num_classes for name in scores if name.startswith("top1")},
            num_samples=len(images.rows),
            num_skipped=sum(left_out.values()),
            origin=Origin(
                seed=self.seed,
                data_revision=self.dataset.revision,
                interval=f"{NOT_TO_BE_MIXED}; {CLUSTERED.replace('images', 'source pictures')}; "
                f"clean accuracy: {WILSON}",
            ),
            details=self.settings() | remarks | self.dataset.remarks(left_out),
            per_unit=cells.per_unit(()),
            per_image={"top1": PerImage.pack(hits, images.rows, len(self.dataset))},
        )

    def _hits(
        self,
        model: EmbeddingModel,
        embedder: Embedder,
        dataset: EvalDataset,
        images: ImageEmbeddings,
    ) -> Bool[np.ndarray, " images"]:
        assert dataset.labels is not None
        assert dataset.layout.classes is not None
        prototypes = embedder.class_embeds(model, dataset.layout.classes.names, self.templates)
        labels = dataset.labels[images.rows]
        return top1_hits(images.embeds, prototypes, labels, device=model.device)

    def _clean(self, model: EmbeddingModel, embedder: Embedder) -> Score | None:
        """Accuracy on the base, cropped as the files were."""
        if self.base is None:
            return None
        images = embedder.images(model, self.base, _CLEAN)
        return wilson_score(self._hits(model, embedder, self.base, images))

    def _cells(
        self, hits: Bool[np.ndarray, " images"], rows: Int64[np.ndarray, " images"]
    ) -> Cells:
        """Pictures of one class with equal file names are made of the same source."""
        pictures = self.dataset.images
        assert isinstance(pictures, FileImages)
        assert self.dataset.labels is not None
        number: dict[tuple[int, str], int] = {}
        sources = [
            number.setdefault((label, pictures.key(row)), len(number))
            for row, label in zip(rows.tolist(), self.dataset.labels[rows].tolist(), strict=True)
        ]
        return Cells(hits, pictures.cells()[rows], np.array(sources, dtype=np.int64))
