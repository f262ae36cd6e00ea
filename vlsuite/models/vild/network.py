"""The detector as one module: trunk, proposals, class-agnostic heads, names.

Gu et al. 2022, arXiv 2104.13921; the released modeling/vild_head.py for what branches where. In
training the cached regions go through the same pass of a head as the sampled ones.

b = pictures, n = regions, D = length of an embedding
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import clip_boxes_to_image, roi_align

from vlsuite.models.vild.federated import federated_logits
from vlsuite.models.vild.proposal_network import ProposalNetwork, Proposals
from vlsuite.models.vild.region_heads import (
    MASK_SIDE,
    MaskHead,
    RegionCutter,
    RegionHead,
    near_zero,
    unit,
)
from vlsuite.models.vild.sampling import Sampled, generator_of, sample_regions
from vlsuite.models.vild.settings import (
    DISTILLED_MODES,
    EMBEDDING_MODES,
    LABELLED_MODES,
    Mode,
    NetworkSettings,
)
from vlsuite.models.vild.targets import PictureTargets
from vlsuite.models.vild.text_classifier import TextClassifier
from vlsuite.models.vild.training_rows import TrainingRows, training_rows
from vlsuite.models.vild.trunk import build_trunk
from vlsuite.objectives.region_terms import RegionTerms, Term, row_weights

#: Of the offsets of refined boxes, as in Fast R-CNN; those of proposals have 1.
BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
#: Parts that do not know names.
LOCALIZER = ("trunk.", "proposals.", "box_head.", "box_deltas.", "mask_head.")


class RegionOutput(NamedTuple):
    """What detection needs of the regions of one picture.

    Attributes:
        boxes: refined, in pixels, clipped to the picture.
        objectness: probability of the proposal network.
        embeds: of the head that learned names, unit norm; None in modes without.
        image_embeds: of the head that learned the teacher's pictures; None in modes without.
        logits: background and the training vocabulary, of a supervised detector.
    """

    boxes: Float[Tensor, "n 4"]
    objectness: Float[Tensor, " n"]
    embeds: Float[Tensor, "n D"] | None = None
    image_embeds: Float[Tensor, "n D"] | None = None
    logits: Float[Tensor, "n columns"] | None = None


class NameTerms(NamedTuple):
    """Rows of the losses that names are learned from; None in modes without."""

    classes: Term | None
    distilled: Term | None


class VildNetwork(nn.Module):
    """See the module.

    Args:
        settings: of its parts.
        mode: what names regions.
        class_embeds: of the training vocabulary, unit norm.
        is_labelled: which of its names have labels.
    """

    def __init__(
        self,
        settings: NetworkSettings,
        *,
        mode: Mode,
        class_embeds: Float[Tensor, "C D"],
        is_labelled: Bool[Tensor, " C"],
    ) -> None:
        super().__init__()
        self.mode, self.settings = mode, settings
        self._coder = BoxCoder(BOX_WEIGHTS)
        heads, norm = settings.heads, settings.trunk.norm
        self.trunk = build_trunk(settings.trunk)
        channels = self.trunk.out_channels
        levels = 1 if settings.trunk.kind == "small" else 5
        self.proposals = ProposalNetwork(self.trunk, settings.proposals, num_levels=levels)
        self.cut = RegionCutter(self.trunk, cells=heads.cells)
        self.box_head = RegionHead(channels, heads, norm=norm)
        self.box_deltas = near_zero(nn.Linear(heads.width, 4), 0.001)
        self.mask_head = MaskHead(channels, heads, norm=norm) if heads.masks else None
        self.name_head = (
            RegionHead(channels, heads, norm=norm) if heads.separate and mode != "crop" else None
        )
        embed_dim = class_embeds.shape[1]
        self.projection = nn.Linear(heads.width, embed_dim) if mode in EMBEDDING_MODES else None
        self.classes: nn.Module | None = None
        if mode == "supervised":
            self.classes = near_zero(nn.Linear(heads.width, 1 + len(class_embeds)), 0.01)
        elif mode in LABELLED_MODES:
            self.classes = TextClassifier(class_embeds, is_labelled, settings.classifier)
        self.image_head, self.image_projection = None, None
        if mode == "ensemble":
            self.image_head = RegionHead(channels, heads, norm=norm)
            self.image_projection = nn.Linear(heads.width, embed_dim)
        self.register_buffer("is_labelled", is_labelled.clone(), persistent=False)

    is_labelled: Tensor

    def forward(
        self, pixels: Float[Tensor, "b 3 height width"], targets: Sequence[PictureTargets]
    ) -> RegionTerms:
        """Rows of all losses.

        Args:
            pixels: normalised, 0 where a picture is padded.
            targets: one a picture.
        """
        size = (pixels.shape[2], pixels.shape[3])
        maps = self.trunk(pixels)
        anchors = self.proposals(maps, picture_size=size, num_pictures=len(pixels))
        objectness, anchor_deltas = self.proposals.terms(anchors, targets)
        keep = self.settings.proposals.train
        found = self.proposals.proposals(anchors, [one.size for one in targets], keep=keep)
        rows = training_rows(self._sampled(found.boxes, targets), targets, size)
        regions = self._regions(maps, rows, size)
        return RegionTerms(
            objectness=objectness,
            anchor_deltas=anchor_deltas,
            box_deltas=self._box_term(regions.box_features, rows),
            masks=self._mask_term(maps, rows, targets, size),
            classes=self._class_term(regions.named, rows),
            distilled=self._distilled_term(regions.distilled, rows),
        )

    def name_terms(
        self,
        maps: dict[str, Tensor],
        proposals: Sequence[Tensor],
        targets: Sequence[PictureTargets],
        picture_size: tuple[int, int],
    ) -> NameTerms:
        """What ``forward`` says of names, from maps and proposals that are known already.

        All that a frozen localizer leaves to train, at a fraction of the work. Names must come
        from a head of their own ("heads.separate").

        Args:
            maps: of the trunk.
            proposals: of each picture, as many as training keeps.
            picture_size: height and width of the padded pictures in pixels.
        """
        assert self.name_head is not None
        rows = training_rows(self._sampled(proposals, targets), targets, picture_size)
        named, distilled = self._named(maps, rows, picture_size)
        return NameTerms(
            self._class_term(named, rows) if named is not None else None,
            self._distilled_term(distilled, rows),
        )

    def localise(
        self,
        pixels: Float[Tensor, "b 3 height width"],
        sizes: Sequence[tuple[int, int]],
        *,
        keep: int,
        nms: float | None = None,
    ) -> tuple[dict[str, Tensor], Proposals]:
        """Maps and proposals of pictures.

        Args:
            sizes: height and width of each picture in pixels.
            keep: proposals of a picture, at most.
            nms: IoU above which the worse of two proposals goes; None takes the settings'.
        """
        maps = self.trunk(pixels)
        size = (pixels.shape[2], pixels.shape[3])
        anchors = self.proposals(maps, picture_size=size, num_pictures=len(pixels))
        return maps, self.proposals.proposals(anchors, sizes, keep=keep, nms=nms)

    def look_at(
        self,
        maps: dict[str, Tensor],
        proposals: Proposals,
        sizes: Sequence[tuple[int, int]],
        picture_size: tuple[int, int],
    ) -> list[RegionOutput]:
        """Refined boxes and embeddings of the proposals, picture by picture."""
        counts = [len(boxes) for boxes in proposals.boxes]
        features = self.cut(maps, proposals.boxes, picture_size=picture_size)
        box_features = self.box_head(features)
        deltas = self.box_deltas(box_features).float()
        boxes = self._coder.decode_single(deltas, torch.cat(proposals.boxes)).split(counts)
        named = box_features if self.name_head is None else self.name_head(features)
        embeds = unit(self.projection(named)) if self.projection is not None else None
        image = embeds if self.mode in ("image", "vild") else None
        if self.image_head is not None and self.image_projection is not None:
            image = unit(self.image_projection(self.image_head(features)))
        logits = self.classes(named).float() if self.mode == "supervised" and self.classes else None
        columns = [
            [None] * len(counts) if one is None else one.split(counts)
            for one in (embeds, image, logits)
        ]
        clipped = [clip_boxes_to_image(one, s) for one, s in zip(boxes, sizes, strict=True)]
        rows = zip(clipped, proposals.objectness, *columns, strict=True)
        return [RegionOutput(*row) for row in rows]

    def masks_of(
        self, maps: dict[str, Tensor], boxes: list[Tensor], picture_size: tuple[int, int]
    ) -> Float[Tensor, "n 28 28"]:
        """Probability that each cell of a box belongs to its object."""
        assert self.mask_head is not None
        cut = self.cut(maps, boxes, picture_size=picture_size, for_masks=True)
        return self.mask_head(cut).float().sigmoid()[:, 0]

    def _sampled(
        self, proposals: Sequence[Tensor], targets: Sequence[PictureTargets]
    ) -> list[Sampled]:
        return [
            sample_regions(
                boxes, target.boxes, target.labels, target.crowds,
                count=self.settings.proposals.regions_per_picture,
                iou=self.settings.proposals.iou,
                generator=generator_of(target.seed, 1),
            )
            for boxes, target in zip(proposals, targets, strict=True)
        ]  # fmt: skip

    def _regions(
        self, maps: dict[str, Tensor], rows: TrainingRows, size: tuple[int, int]
    ) -> "_RegionFeatures":
        """One pass of each head over sampled and cached regions."""
        has_cached = self.mode in DISTILLED_MODES
        joined = self.cut(maps, rows.both if has_cached else rows.sampled, picture_size=size)
        is_cached = rows.is_cached
        if not has_cached:
            is_cached = torch.zeros(len(joined), dtype=torch.bool, device=joined.device)
        if self.mode == "ensemble":
            sampled, cached = joined[~is_cached], joined[is_cached]
            assert self.image_head is not None
            assert self.image_projection is not None
            box = self.box_head(sampled)
            named = box if self.name_head is None else self.name_head(sampled)
            distilled = unit(self.image_projection(self.image_head(cached)))
            return _RegionFeatures(box, named, distilled)
        box = self.box_head(joined)
        named = box if self.name_head is None else self.name_head(joined)
        distilled = None
        if has_cached:
            assert self.projection is not None
            distilled = unit(self.projection(named[is_cached]))
        return _RegionFeatures(box[~is_cached], named[~is_cached], distilled)

    def _named(
        self, maps: dict[str, Tensor], rows: TrainingRows, size: tuple[int, int]
    ) -> tuple[Tensor | None, Tensor | None]:
        """Features of the sampled regions and unit vectors of the cached ones, without boxes."""
        assert self.name_head is not None
        named, cached = None, None
        if self.mode in LABELLED_MODES:
            named = self.cut(maps, rows.sampled, picture_size=size)
        if self.mode in DISTILLED_MODES:
            cached = self.cut(maps, rows.cached, picture_size=size)
        if named is not None and cached is not None and self.mode != "ensemble":
            counts = [len(named), len(cached)]
            named, cached = self.name_head(torch.cat([named, cached])).split(counts)
        else:
            named = self.name_head(named) if named is not None else None
            head = self.image_head if self.image_head is not None else self.name_head
            cached = head(cached) if cached is not None else None
        if cached is not None:
            last = self.image_projection if self.image_head is not None else self.projection
            assert last is not None
            cached = unit(last(cached))
        return named, cached

    def _box_term(self, features: Tensor, rows: TrainingRows) -> Term:
        deltas = self.box_deltas(features).float()
        is_positive = rows.classes > 0
        if not is_positive.any():
            return Term(deltas[:1], torch.zeros_like(deltas[:1]), torch.zeros_like(deltas[:1, 0]))
        boxes = torch.cat(rows.sampled)
        wanted = self._coder.encode_single(rows.matched_boxes[is_positive], boxes[is_positive])
        weights = rows.weights[is_positive]
        return Term(deltas[is_positive], wanted, weights)

    def _class_term(self, named: Tensor, rows: TrainingRows) -> Term | None:
        if self.classes is None:
            return None
        if self.mode == "supervised":
            logits = self.classes(named).float()
            keep = torch.cat([self.is_labelled.new_ones(1), self.is_labelled])
            logits = logits.masked_fill(~keep, -torch.inf)
        else:
            assert self.projection is not None
            logits = self.classes(unit(self.projection(named)))
        if rows.is_foreign is not None:
            logits = federated_logits(logits, rows.classes, rows.is_foreign)
        return Term(logits, rows.classes, rows.weights)

    def _distilled_term(self, distilled: Tensor | None, rows: TrainingRows) -> Term | None:
        if distilled is None:
            return None
        return Term(distilled, rows.cached_embeds, rows.cached_weights)

    def _mask_term(
        self,
        maps: dict[str, Tensor],
        rows: TrainingRows,
        targets: Sequence[PictureTargets],
        size: tuple[int, int],
    ) -> Term | None:
        """Masks of the positive regions; the mean over the positives of each picture.

        Objects whose mask is empty have none.
        """
        if self.mask_head is None:
            return None
        boxes, wanted = [], []
        for sampled, target in zip(rows.by_picture, targets, strict=True):
            if target.masks is None or not len(target.masks):
                boxes.append(sampled.boxes[:0])
                continue
            has_mask = target.masks.flatten(1).ne(0).any(dim=1)
            is_positive = (sampled.classes > 0) & has_mask[sampled.matched]
            boxes.append(sampled.boxes[is_positive])
            wanted.append(_cut_masks(target.masks, boxes[-1], sampled.matched[is_positive]))
        counts = torch.tensor([len(own) for own in boxes], device=boxes[0].device)
        if not int(counts.sum()):
            boxes = [boxes[0].new_tensor([[0.0, 0.0, size[1], size[0]]]), *boxes[1:]]
            cut = self.cut(maps, boxes, picture_size=size, for_masks=True)
            logits = self.mask_head(cut)[:, 0]
            return Term(logits, torch.zeros_like(logits), logits.new_zeros(1).float())
        logits = self.mask_head(self.cut(maps, boxes, picture_size=size, for_masks=True))[:, 0]
        pictures = torch.repeat_interleave(counts)
        return Term(logits, torch.cat(wanted), row_weights(pictures, num_pictures=len(targets)))


class _RegionFeatures(NamedTuple):
    """Of the sampled regions, and unit vectors of the cached ones."""

    box_features: Tensor
    named: Tensor
    distilled: Tensor | None


def _cut_masks(masks: Tensor, boxes: Tensor, rows: Tensor) -> Tensor:
    """What a mask of 28 x 28 cells should say of each box, by RoIAlign of the marked mask."""
    regions = torch.cat([rows[:, None].to(boxes.dtype), boxes], dim=1)
    return roi_align(masks[:, None].to(boxes.dtype), regions, (MASK_SIDE, MASK_SIDE), 1.0)[:, 0]
