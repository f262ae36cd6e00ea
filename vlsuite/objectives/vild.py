"""The losses of ViLD and of the detector around it.

Gu et al. 2022, arXiv 2104.13921. Their L_ViLD-text is ``text`` here, L_ViLD-image ``image``,
and both are added as L_ViLD-text + w L_ViLD-image. The other terms
are those of Mask R-CNN (He et al. 2017, arXiv 1703.06870), class-agnostic.

n = rows of a term, C = names, D = length of an embedding
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from vlsuite.batches.batch import Batch
from vlsuite.errors import ConfigError
from vlsuite.objectives import registry
from vlsuite.objectives.objective import Losses
from vlsuite.objectives.plain import PlainObjective
from vlsuite.objectives.region_terms import RegionTerms, Term

#: Length of the embeddings that the published weight of the distillation belongs to.
PUBLISHED_DIM = 512


@registry.register("vild")
@dataclass(frozen=True, kw_only=True, slots=True)
class VildObjectiveConfig:
    """How much each loss of a detector counts.

    Attributes:
        image_weight: w of the distillation. 0.5 for ResNet-50 (1 and 2 were published for larger
            networks); the loss is the sum of D absolute differences, so implementations that
            average over D have D times as much.
        rescale: multiply it by sqrt(512 / D). Two unit vectors at a fixed angle differ in L1 by
            about sqrt(D), so this keeps w what it is at D = 512; there it changes nothing.
        box_weight: of the refined boxes.
        mask_weight: of the masks.
        proposal_weight: of both losses of the proposal network.
        box_delta: where the Huber loss of refined boxes turns linear; 1 in the released code.
        proposal_delta: likewise for proposals; 1/9.
    """

    image_weight: float = 0.5
    rescale: bool = True
    box_weight: float = 1.0
    mask_weight: float = 1.0
    proposal_weight: float = 1.0
    box_delta: float = 1.0
    proposal_delta: float = 1.0 / 9.0

    def __post_init__(self) -> None:
        for name in ("image_weight", "box_weight", "mask_weight", "proposal_weight"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"objective.{name}={value} must be 0 or a positive number")
        if not (self.box_delta > 0 and self.proposal_delta > 0):
            raise ConfigError("objective.box_delta and proposal_delta must be positive")

    def build(self) -> "VildObjective":
        """The objective."""
        return VildObjective(self)


class VildObjective(PlainObjective):
    """The sum of the terms that the model's mode has; each a mean over pictures."""

    def __init__(self, config: VildObjectiveConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, output: Any, batch: Batch) -> Losses:
        """See ``PlainObjective``.

        Args:
            output: ``RegionTerms`` of the model.
            batch: not looked at.
        """
        terms: RegionTerms = output
        config = self.config
        named = {
            "objectness": (config.proposal_weight, objectness_loss(terms.objectness)),
            "proposal_box": (
                config.proposal_weight,
                huber_loss(terms.anchor_deltas, delta=config.proposal_delta),
            ),
            "box": (config.box_weight, huber_loss(terms.box_deltas, delta=config.box_delta)),
        }
        if terms.masks is not None:
            named["mask"] = (config.mask_weight, mask_loss(terms.masks))
        if terms.classes is not None:
            named["text"] = (1.0, class_loss(*terms.classes))
        if terms.distilled is not None:
            dim = terms.distilled.found.shape[1]
            weight = distillation_weight(config.image_weight, dim, rescale=config.rescale)
            named["image"] = (weight, image_loss(*terms.distilled))
        total = torch.stack([weight * loss for weight, loss in named.values()]).sum()
        return Losses(total, {name: loss.detach() for name, (_, loss) in named.items()})


def distillation_weight(weight: float, embed_dim: int, *, rescale: bool) -> float:
    """w for embeddings of another length than 512; see ``VildObjectiveConfig.rescale``."""
    return weight * math.sqrt(PUBLISHED_DIM / embed_dim) if rescale else weight


def class_loss(
    found: Float[Tensor, "n classes"], wanted: Int64[Tensor, " n"], weights: Float[Tensor, " n"]
) -> Float[Tensor, ""]:
    """Cross-entropy over background and names: L_ViLD-text.

    Args:
        found: z(r) / tau, background first; minus infinity where a name has no labels.
        wanted: column of each row.
        weights: see ``Term``.
    Returns:
        Nats per region, averaged over pictures.
    """
    losses = F.cross_entropy(found.float(), wanted, reduction="none")
    return (losses * weights).sum()


def image_loss(
    found: Float[Tensor, "n embed_dim"],
    wanted: Float[Tensor, "n embed_dim"],
    weights: Float[Tensor, " n"],
) -> Float[Tensor, ""]:
    """L1 distance of the regions' embeddings to the teacher's: L_ViLD-image.

    Args:
        found: unit L2 norm.
        wanted: unit L2 norm, of the same regions.
        weights: see ``Term``.
    Returns:
        Sum of D absolute differences per region, averaged over pictures.
    """
    return ((found.float() - wanted.float()).abs().sum(dim=1) * weights).sum()


def objectness_loss(term: Term) -> Float[Tensor, ""]:
    """Binary cross-entropy of anchors, nats per anchor."""
    losses = F.binary_cross_entropy_with_logits(
        term.found.float(), term.wanted.float(), reduction="none"
    )
    return (losses * term.weights).sum()


def huber_loss(term: Term, *, delta: float) -> Float[Tensor, ""]:
    """Smooth L1 of box offsets, summed over the four.

    Divided by delta, as torchvision has it: slope 1 beyond it.
    """
    losses = F.smooth_l1_loss(
        term.found.float(), term.wanted.float(), beta=delta, reduction="none"
    ).sum(dim=1)
    return (losses * term.weights).sum()


def mask_loss(term: Term) -> Float[Tensor, ""]:
    """Binary cross-entropy of the pixels of masks, averaged over pixels."""
    losses = F.binary_cross_entropy_with_logits(
        term.found.float(), term.wanted.float(), reduction="none"
    ).mean(dim=(1, 2))
    return (losses * term.weights).sum()
