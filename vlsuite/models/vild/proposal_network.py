"""The region proposal network, of torchvision's parts, with a loss that is a mean over pictures.

Ren et al. 2015, arXiv 1506.01497. Anchors, matching, box coding and NMS are torchvision's; its loss
averages over the anchors of a batch and its draws depend on the whole batch, so both are ours.

b = pictures, a = anchors of a picture, n = proposals
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import (
    RegionProposalNetwork,
    RPNHead,
    concat_box_prediction_layers,
)

from vlsuite.models.vild.sampling import balanced, generator_of, in_crowd
from vlsuite.models.vild.settings import ProposalSettings
from vlsuite.models.vild.targets import PictureTargets
from vlsuite.models.vild.trunk import Trunk
from vlsuite.objectives.region_terms import Term

_Kind = TypeVar("_Kind", bound=RegionProposalNetwork)

_RATIOS = (0.5, 1.0, 2.0)
_CONVS = 2  # as in torchvision's maskrcnn_resnet50_fpn_v2
#: IoU with a marked box from which an anchor is positive, and below which it is background.
_POSITIVE, _NEGATIVE = 0.7, 0.3
_POSITIVE_SHARE = 0.5


class Proposals(NamedTuple):
    """Regions that may hold an object.

    Attributes:
        boxes: of each picture, in pixels, best first; no gradient.
        objectness: probability that each holds an object.
    """

    boxes: list[Tensor]
    objectness: list[Tensor]


class ProposalOutput(NamedTuple):
    """What the network says of all anchors.

    Attributes:
        anchors: of each picture, in pixels.
        logits: objectness, fp32.
        deltas: box offsets, fp32.
        per_level: anchors of each map.
    """

    anchors: list[Tensor]
    logits: Float[Tensor, "b a"]
    deltas: Float[Tensor, "b a 4"]
    per_level: list[int]


class ProposalNetwork(nn.Module):
    """Finds regions in the maps of a trunk."""

    def __init__(self, trunk: Trunk, settings: ProposalSettings, *, num_levels: int) -> None:
        super().__init__()
        self.settings = settings
        sizes: Sequence[tuple[float, ...]] = [(size,) for size in settings.anchor_sizes]
        if num_levels == 1:
            sizes = [tuple(settings.anchor_sizes)]
        self.anchors = AnchorGenerator(tuple(sizes), (_RATIOS,) * num_levels)  # type: ignore[arg-type]
        per_cell = self.anchors.num_anchors_per_location()[0]
        self.head = RPNHead(trunk.out_channels, per_cell, conv_depth=_CONVS)

    def forward(
        self, maps: dict[str, Tensor], *, picture_size: tuple[int, int], num_pictures: int
    ) -> ProposalOutput:
        """See ``ProposalOutput``.

        Args:
            picture_size: height and width of the padded pictures in pixels.
        """
        levels = list(maps.values())
        logits, deltas = self.head(levels)
        empty = torch.empty(num_pictures, 0, *picture_size, device=levels[0].device)
        pictures = ImageList(empty, [picture_size] * num_pictures)
        anchors = self.anchors(pictures, [level.float() for level in levels])
        per_level = [one[0].numel() for one in logits]
        flat_logits, flat_deltas = concat_box_prediction_layers(logits, deltas)
        return ProposalOutput(
            anchors,
            flat_logits.float().unflatten(0, (num_pictures, -1))[..., 0],
            flat_deltas.float().unflatten(0, (num_pictures, -1)),
            per_level,
        )

    @torch.no_grad()
    def proposals(
        self,
        output: ProposalOutput,
        sizes: Sequence[tuple[int, int]],
        *,
        keep: int,
        nms: float | None = None,
    ) -> Proposals:
        """The best anchors, moved, after NMS level by level.

        Args:
            sizes: height and width of each picture in pixels; boxes are clipped to them.
            keep: of a picture, at most.
            nms: IoU above which the worse of two goes; None takes the settings'.
        """
        parts = proposal_parts(RegionProposalNetwork, self, keep=keep, nms=nms)
        boxes = parts.box_coder.decode(output.deltas.flatten(0, 1), output.anchors)
        kept, scores = parts.filter_proposals(
            boxes.unflatten(0, output.logits.shape)[..., 0, :],
            output.logits.flatten()[:, None],
            list(sizes),
            output.per_level,
        )
        return Proposals(list(kept), list(scores))

    def terms(self, output: ProposalOutput, targets: Sequence[PictureTargets]) -> tuple[Term, Term]:
        """Rows of the losses of objectness and of box offsets."""
        parts = proposal_parts(RegionProposalNetwork, self, keep=1, nms=1.0)
        labels, matched = parts.assign_targets_to_anchors(
            output.anchors, [{"boxes": target.boxes} for target in targets]
        )
        objectness, moved = [], []
        for row, target in enumerate(targets):
            anchors, own = output.anchors[row], labels[row]
            ignored = _outside(anchors, target.size) | in_crowd(anchors, target.crowds)
            chosen = balanced(
                own == 1,
                (own == 0) & ~ignored,
                count=self.settings.anchors_per_picture,
                generator=generator_of(target.seed, 0),
                positive_share=_POSITIVE_SHARE,
            )
            weight = 1.0 / (max(1, len(chosen)) * len(targets))
            logits, wanted = output.logits[row, chosen], own[chosen]
            objectness.append(Term(logits, wanted, torch.full_like(logits, weight)))
            positive = chosen[wanted == 1]
            found = output.deltas[row, positive]
            offsets = parts.box_coder.encode_single(matched[row][positive], anchors[positive])
            moved.append(Term(found, offsets, torch.full_like(found[:, 0], weight)))
        return _joined(objectness, output.logits[0, :1]), _joined(moved, output.deltas[0, :1])


def proposal_parts(
    kind: type[_Kind], network: ProposalNetwork, *, keep: int, nms: float | None = None
) -> _Kind:
    """torchvision's functions around the head of a network.

    Args:
        kind: torchvision's class, or one derived from it.
        keep: proposals of a picture, at most.
        nms: IoU above which the worse of two goes; None takes the settings'.
    """
    settings = network.settings
    counts = {"training": settings.before_nms, "testing": settings.before_nms}
    return kind(
        network.anchors, network.head, _POSITIVE, _NEGATIVE, settings.anchors_per_picture,
        _POSITIVE_SHARE, counts, {"training": keep, "testing": keep},
        settings.nms if nms is None else nms,
    )  # fmt: skip


def _outside(anchors: Float[Tensor, "a 4"], size: tuple[int, int]) -> Tensor:
    """Anchors whose middle lies in the padding."""
    middle = (anchors[:, :2] + anchors[:, 2:]) / 2
    return (middle[:, 0] >= size[1]) | (middle[:, 1] >= size[0])


def _joined(terms: Sequence[Term], stand_in: Tensor) -> Term:
    """The rows of all pictures, and one of weight 0, so that no batch lacks a gradient."""
    found = torch.cat([term.found for term in terms] + [stand_in])
    wanted = torch.cat([term.wanted.float() for term in terms] + [torch.zeros_like(stand_in)])
    weights = torch.cat([term.weights for term in terms] + [stand_in.new_zeros(1)])
    return Term(found, wanted, weights)
