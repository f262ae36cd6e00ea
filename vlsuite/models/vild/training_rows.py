"""Which regions of a batch the losses of a detector look at, and with what weight."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vlsuite.models.vild.sampling import Sampled
from vlsuite.models.vild.targets import PictureTargets


class TrainingRows(NamedTuple):
    """Sampled and cached regions of a batch, each picture with one of both at least.

    Where a picture has none, the whole picture stands in with weight 0. ``is_foreign`` is of the
    sampled ones; None where no picture has such names.
    """

    by_picture: list[Sampled]
    sampled: list[Tensor]
    both: list[Tensor]
    cached: list[Tensor]
    is_cached: Tensor
    classes: Tensor
    matched_boxes: Tensor
    weights: Tensor
    cached_embeds: Tensor
    cached_weights: Tensor
    is_foreign: Tensor | None


def training_rows(
    sampled: Sequence[Sampled], targets: Sequence[PictureTargets], size: tuple[int, int]
) -> TrainingRows:
    """The regions of a batch that the losses are rows of.

    Args:
        sampled: of each picture.
        size: height and width of the padded pictures in pixels.
    """
    whole = targets[0].boxes.new_tensor([[0.0, 0.0, size[1], size[0]]])
    dim, num_pictures = targets[0].region_embeds.shape[1], len(targets)
    found: list[Sampled] = []
    columns: dict[str, list[Tensor]] = {
        "both": [], "cached": [], "is_cached": [], "boxes": [], "weights": [], "embeds": [],
        "cached_weights": [],
    }  # fmt: skip
    for one, target in zip(sampled, targets, strict=True):
        own, weight = one, 1.0
        if not len(one.boxes):
            own, weight = Sampled(whole, one.classes.new_zeros(1), one.matched.new_zeros(1)), 0.0
        regions, embeds, cached_weight = target.regions, target.region_embeds, 1.0
        if not len(regions):
            regions, cached_weight = whole, 0.0
            embeds = target.region_embeds.new_zeros(1, dim)
        matched = target.boxes[own.matched] if len(target.boxes) else torch.zeros_like(own.boxes)
        found.append(own)
        counts = len(own.boxes), len(regions)
        columns["both"].append(torch.cat([own.boxes, regions]))
        columns["cached"].append(regions)
        columns["is_cached"].append(torch.tensor([False] * counts[0] + [True] * counts[1]))
        columns["boxes"].append(matched)
        columns["weights"].append(whole.new_full((counts[0],), weight / counts[0] / num_pictures))
        columns["embeds"].append(embeds.float())
        share = cached_weight / counts[1] / num_pictures
        columns["cached_weights"].append(whole.new_full((counts[1],), share))
    joined = {name: torch.cat(parts) for name, parts in columns.items()}
    return TrainingRows(
        by_picture=found,
        sampled=[own.boxes for own in found],
        both=columns["both"],
        cached=columns["cached"],
        is_cached=joined["is_cached"].to(whole.device),
        classes=torch.cat([own.classes for own in found]),
        matched_boxes=joined["boxes"],
        weights=joined["weights"],
        cached_embeds=joined["embeds"],
        cached_weights=joined["cached_weights"],
        is_foreign=_foreign_rows(found, targets),
    )


def _foreign_rows(found: Sequence[Sampled], targets: Sequence[PictureTargets]) -> Tensor | None:
    """Of each sampled region the names that its picture's source is not annotated with."""
    parts = [
        target.is_foreign.expand(len(own.boxes), -1)
        for own, target in zip(found, targets, strict=True)
        if target.is_foreign is not None
    ]
    return torch.cat(parts) if parts else None
