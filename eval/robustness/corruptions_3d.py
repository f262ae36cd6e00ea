"""3D Common Corruptions made in memory, for pictures that come with a depth map.

Kar, Yeo, Atanov and Zamir 2022, arXiv 2203.01441; what each kind owes to the published scripts is
said in ``eval.corruptions.depth``. Picture and depth are resized and cropped alike (256 and 224
pixels), corrupted, and shown through the model's own transform. Kinds that need no depth are
measured on any set; the others count the pictures without a depth map as left out.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image
from torch import Tensor

from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.schema import JsonValue
from eval.contract import Embedder, EmbeddingModel, Need
from eval.corruptions.depth import CORRUPTIONS_3D, NEEDS_DEPTH, corrupt_3d
from eval.corruptions.severities import SEVERITIES
from eval.data.dataset import EvalDataset
from eval.data.raw_image import RawImage
from eval.data.subset import chosen_images
from eval.data.views import CropFrame, FrameView, ImageTransform, centre_crop, shorter_side
from eval.errors import EvaluationError
from eval.metrics.intervals import (
    CLUSTERED,
    WILSON,
    cluster_bootstrap_score,
    wilson_score,
)
from eval.results import EvalResult, Origin, PerImage, PerUnit, Score, Settings
from eval.robustness.corruptions import CorruptionOptions
from eval.task_choices import TaskChoices
from eval.tasks import TaskFacts, registry
from eval.zero_shot.prompted import PromptedTask
from eval.zero_shot.templates import no_classes

NOT_TO_BE_MIXED = "made in memory: never to be mixed with figures from the ImageNet-3DCC files"

_LOOKED_AT = 16


@dataclass(frozen=True, slots=True)
class DepthFrame:
    """One cell, made picture by picture.

    Args:
        corruption, severity: which.
        seed: of the draws, with each picture's id.
    """

    corruption: str
    severity: int
    seed: int

    @property
    def key(self) -> str:
        """See ``Frame``."""
        return f"3d {self.corruption} {self.severity} seed {self.seed}"

    def __call__(
        self, picture: RawImage, transform: ImageTransform
    ) -> UInt8[Tensor, "3 height width"]:
        """See ``Frame``.

        Raises:
            BadSampleError: the corruption needs a depth map and there is none, or a broken one.
        """
        frame = CropFrame()
        depth = None
        if self.corruption in NEEDS_DEPTH:
            if picture.depth is None:
                raise BadSampleError("no depth", "the sample has no depth.npy or depth.png")
            depth = torch.from_numpy(_cropped(picture.depth, frame))
        try:
            return corrupt_3d(
                frame(picture, transform),
                depth,
                self.corruption,
                self.severity,
                image_id=picture.image_id,
                seed=self.seed,
            )
        except EvaluationError as error:
            raise BadSampleError("broken depth", str(error)) from error


@registry.register("corruptions_3d")
@dataclass(frozen=True, kw_only=True, slots=True)
class DepthCorruptions(PromptedTask):
    """Accuracy under fog, focus, motion, light and sensor noise that follow the depth of the scene.

    Args:
        dataset: the chosen images, with labels and class names.
        templates: prompts with ``{c}``.
        kinds: names of corruptions.
        severities: some of 1 to 5.
        seed: of all draws and the bootstrap.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        uses=("classes",),
        options=CorruptionOptions,
        title="Corruptions in depth",
    )

    kinds: tuple[str, ...]
    severities: tuple[int, ...]

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        if (lack := no_classes(dataset)) is not None:
            return lack
        severities = set(choices.of(CorruptionOptions).severities)
        if not severities or not severities <= set(SEVERITIES):
            return "corruptions.severities needs some of 1,2,3,4,5"
        if choices.of(CorruptionOptions).max_images < 0:
            return "corruptions.max_images must not be negative; 0 uses all"
        if has_depth(dataset):
            return None
        return (
            f"{dataset.title} has no depth: none of its first {_LOOKED_AT} pictures has a "
            f"{dataset.layout.each('depth.npy', 'depth.png')}"
        )

    @classmethod
    def chosen(cls, dataset: EvalDataset, choices: TaskChoices) -> dict[str, Any]:
        """See ``PromptedTask``; severities and number of images are those of ``corruptions``."""
        options = choices.of(CorruptionOptions)
        return {
            "dataset": chosen_images(dataset, options.max_images, seed=choices.seed),
            "kinds": tuple(CORRUPTIONS_3D),
            "severities": tuple(sorted(set(options.severities))),
        }

    @property
    def name(self) -> str:
        """Of the task."""
        return "corruptions_3d"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return {
            "source": "memory",
            "templates": list(self.templates),
            "kinds": list(self.kinds),
            "severities": list(self.severities),
            "seed": self.seed,
        }

    def needs(self) -> tuple[Need, ...]:
        """See ``Benchmark``."""
        cells = [self._view(kind, severity) for kind in self.kinds for severity in self.severities]
        return (Need(self.dataset, (_CLEAN, *cells)),)

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Rank the classes for every picture in every cell."""
        rows, clean = self.viewed_hits(model, embedder, _CLEAN)
        scores: dict[str, Score] = {"top1_clean": wilson_score(clean)}
        per_image = {"top1_clean": PerImage.pack(clean, rows, len(self.dataset))}
        accuracy: dict[str, JsonValue] = {}
        per_unit: dict[str, PerUnit] = {}
        for kind in self.kinds:
            cells = [
                self.viewed_hits(model, embedder, self._view(kind, severity))
                for severity in self.severities
            ]
            hits = np.concatenate([own for _, own in cells])
            owners = np.concatenate([own_rows for own_rows, _ in cells])
            scores[f"top1_{kind}"] = cluster_bootstrap_score(hits, owners, seed=self.seed)
            per_unit[f"top1_{kind}"] = PerUnit.pack(hits, owners)
            by_severity: dict[str, JsonValue] = {}
            for severity, (own_rows, own) in zip(self.severities, cells, strict=True):
                by_severity[str(severity)] = float(own.mean())
                packed = PerImage.pack(own, own_rows, len(self.dataset))
                per_image[f"top1_{kind}_{severity}"] = packed
            accuracy[kind] = by_severity
        left_out = self.dataset.left_out(len(self.dataset) - len(rows))
        remarks: Settings = {"accuracy": accuracy, "note": NOT_TO_BE_MIXED}
        return EvalResult(
            benchmark=self.name,
            family="robustness",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores=scores,
            chance=dict.fromkeys(scores, 1 / len(self.class_names)),
            num_samples=len(rows),
            num_skipped=sum(left_out.values()),
            origin=Origin(
                seed=self.seed,
                data_revision=self.dataset.revision,
                interval=f"{NOT_TO_BE_MIXED}; {CLUSTERED}; clean: {WILSON}",
            ),
            details=self.settings() | remarks | self.dataset.remarks(left_out),
            per_image=per_image,
            per_unit=per_unit,
        )

    def _view(self, kind: str, severity: int) -> FrameView:
        return FrameView(DepthFrame(kind, severity, self.seed), needs_transform=True)


_CLEAN = FrameView(CropFrame(), needs_transform=True)


def has_depth(dataset: EvalDataset) -> bool:
    """Whether one of the first pictures comes with a depth map."""
    for row in range(min(_LOOKED_AT, len(dataset))):
        try:
            if RawImage(dataset.images.members(row), 0).depth is not None:
                return True
        except DataError:
            continue
    return False


def _cropped(
    depth: Float32[np.ndarray, "height width"], frame: CropFrame
) -> Float32[np.ndarray, "rows columns"]:
    """The depth of the pixels in the frame, resized as the picture is."""
    image = centre_crop(shorter_side(Image.fromarray(depth), frame.resize), frame.crop)
    return np.array(image, dtype=np.float32)
