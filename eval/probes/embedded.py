"""Embeddings of the pictures that a probe learns from, with the classes that it can learn."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt64
from torch import Tensor

from eval.contract import Embedder, EmbeddingModel, ImageEmbeddings
from eval.data.dataset import EvalDataset
from eval.errors import EvaluationError
from eval.probes.training_pictures import labels_as_in
from eval.results import Settings


class Embedded(NamedTuple):
    """Pictures of a probe.

    Attributes:
        features: unit-norm fp32, on the model's device.
        labels: as the data set that is measured numbers its classes.
        ids: of the pictures' content.
        num_tested: pictures left out because they are measured too.
        num_others: pictures left out because they show another class.
    """

    features: Float[Tensor, "samples embed_dim"]
    labels: Int64[np.ndarray, " samples"]
    ids: UInt64[np.ndarray, " samples"]
    num_tested: int
    num_others: int

    @property
    def classes(self) -> Int64[np.ndarray, " classes"]:
        """That have a picture, ascending."""
        return np.unique(self.labels)

    def counts(self) -> Settings:
        """For the result."""
        return {
            "pictures": len(self.labels),
            "left_out_as_they_are_measured": self.num_tested,
            "left_out_as_of_other_classes": self.num_others,
        }


def embedded(
    model: EmbeddingModel,
    embedder: Embedder,
    pictures: EvalDataset,
    *,
    measured: EvalDataset,
    classes: Int64[np.ndarray, " classes"] | None = None,
) -> Embedded:
    """Embed pictures to learn from, without those that are measured.

    Args:
        measured: the data set whose classes count.
        classes: only pictures of these, numbered by their place in it; None takes all classes.
    Raises:
        EvaluationError: fewer than two classes, or no picture, is left.
    """
    images = embedder.images(model, pictures)
    labels = labels_as_in(measured, pictures)[images.rows]
    ids = pictures.images.image_ids[images.rows]
    is_tested = np.isin(ids, measured.images.image_ids)
    is_wanted = labels >= 0 if classes is None else np.isin(labels, classes)
    kept = np.flatnonzero(is_wanted & ~is_tested)
    labels = labels[kept]
    if classes is None and len(np.unique(labels)) < 2:
        raise EvaluationError(
            f"{pictures.title} shows fewer than two classes of {measured.title} in pictures that "
            "are not measured; give other training pictures with --set probe.train=PATH"
        )
    if not len(kept):
        raise EvaluationError(
            f"{pictures.title} has no picture of the classes to learn; give other pictures with "
            "--set probe.validation=PATH"
        )
    return Embedded(
        _chosen(images, kept).to(model.device),
        labels if classes is None else np.searchsorted(classes, labels),
        ids[kept],
        num_tested=int((is_wanted & is_tested).sum()),
        num_others=int((~is_wanted).sum()),
    )


def _chosen(images: ImageEmbeddings, kept: np.ndarray) -> Tensor:
    """The map of the file itself where all are wanted."""
    return images.embeds if len(kept) == len(images.rows) else images.embeds[torch.from_numpy(kept)]


def as_all_classes(
    weights: Tensor, classes: Int64[np.ndarray, " classes"], num_classes: int
) -> Tensor:
    """Weights of the classes that were learned among those of all; the others never win."""
    whole = weights.new_zeros((num_classes, weights.shape[1]))
    whole[:, -1] = -torch.inf
    whole[torch.from_numpy(classes).to(weights.device)] = weights
    return whole
