"""What is known of the pictures of a training batch, on the device that computes.

n = marked objects, m = cached regions, D = length of an embedding, S = sources, C = names
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from torch import Tensor

from vlsuite.batches.detections import DetectionBatch


class PictureTargets(NamedTuple):
    """Of one picture of the batch.

    Attributes:
        size: height and width in pixels; the rest of the padded picture is empty.
        boxes: in pixels.
        labels: rows of the training vocabulary.
        crowds: boxes of groups; what lies in them is neither object nor background.
        masks: 1 inside the object, of the padded picture; None where masks are not trained.
        regions: cached, in pixels.
        region_embeds: of the teacher, unit norm.
        seed: of what is drawn for this picture, whatever else is in the batch.
        is_foreign: names that its source is not annotated with, though others are; None: none.
    """

    size: tuple[int, int]
    boxes: Float32[Tensor, "n 4"]
    labels: Int64[Tensor, " n"]
    crowds: Float32[Tensor, "crowds 4"]
    masks: UInt8[Tensor, "n height width"] | None
    regions: Float32[Tensor, "m 4"]
    region_embeds: Float[Tensor, "m D"]
    seed: int
    is_foreign: Bool[Tensor, " C"] | None = None


def targets_of(
    batch: DetectionBatch,
    device: torch.device,
    *,
    is_foreign: Bool[Tensor, "S C"] | None = None,
) -> list[PictureTargets]:
    """The batch's facts by picture.

    Args:
        is_foreign: see ``TrainingVocabulary``.
    """
    boxes = batch.boxes.to(device).split(batch.num_boxes)
    labels = batch.labels.to(device).split(batch.num_boxes)
    crowds = batch.crowds.to(device).split(batch.num_crowds)
    regions = batch.regions.to(device).split(batch.num_regions)
    embeds = batch.region_embeds.to(device).split(batch.num_regions)
    masks: list[Tensor | None] = [None] * len(batch.sizes)
    if batch.masks is not None:
        masks = list(batch.masks.to(device).split(batch.num_boxes))
    foreign: list[Tensor | None] = [None] * len(batch.sizes)
    if is_foreign is not None:
        foreign = list(is_foreign.to(device)[list(batch.sources)])
    columns = (batch.sizes, boxes, labels, crowds, masks, regions, embeds, batch.seeds, foreign)
    return [PictureTargets(*row) for row in zip(*columns, strict=True)]
