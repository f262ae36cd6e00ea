"""A detector whose vocabulary is folded in, as TorchScript: one file that needs torch and
torchvision alone.

It computes what ``Vild.detect`` does of one picture, written so that TorchScript compiles it. That
knows no jaxtyping, so shapes stand in the docstrings, and ``no_type_check`` keeps the checks of the
tests out of the source that is compiled. The trunk is traced, all else is scripted.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import no_type_check

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, concat_box_prediction_layers
from torchvision.ops import batched_nms, clip_boxes_to_image

from vlsuite.errors import ModelError
from vlsuite.models.vild.built import BuiltVild
from vlsuite.models.vild.name_scorers import name_scorer
from vlsuite.models.vild.network import BOX_WEIGHTS
from vlsuite.models.vild.picture_batch import bucket_step
from vlsuite.models.vild.postprocess import SMALLEST
from vlsuite.models.vild.proposal_network import proposal_parts

#: Height and width of the picture that the trunk is traced with; any other works as well.
_TRACED = (64, 96)


def fixed_detector(built: BuiltVild, names: tuple[str, ...]) -> torch.jit.ScriptModule:
    """The detector for these names.

    Args:
        built: its weights on the CPU, in fp32.
        names: that detections have; none of a supervised detector's training are blind there too.
    Raises:
        ModelError: mode "crop" asks its teacher about every picture, so it cannot be folded in.
    """
    if built.config.mode == "crop":
        raise ModelError(
            "a detector of model.mode=crop asks its teacher about every picture; export one of "
            "another mode, or its folder (--format vild)"
        )
    with torchscript_silenced(), _own_linear():
        detector = _FixedDetector(built, names).eval()
    for parameter in detector.parameters():
        parameter.requires_grad_(False)
    with torchscript_silenced(), _own_linear():
        return torch.jit.script(detector)


@contextmanager
def _own_linear() -> Iterator[None]:
    """torch's own linear; DeepSpeed's ZeRO 3 leaves one that is no TorchScript."""
    found = F.linear
    F.linear = torch._C._nn.linear  # type: ignore[assignment]
    try:
        yield
    finally:
        F.linear = found  # type: ignore[assignment]


@contextmanager
def torchscript_silenced() -> Iterator[None]:
    """Without torch's advice to use torch.export, which holds no loop over the best scores."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit.* is deprecated", FutureWarning)
        yield


@no_type_check
class _Maps(nn.Module):
    """The maps of a trunk, without their names: what is traced."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, pixels: Tensor):
        return tuple(self.trunk(pixels).values())


@no_type_check
class _Proposals(RegionProposalNetwork):
    """torchvision's network, told the size of the picture within its padding."""

    def forward(  # type: ignore[override]
        self, maps: list[Tensor], padded: tuple[int, int], size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Boxes [n, 4] in pixels, best first, and the probability that each holds an object."""
        logits, deltas = self.head(maps)
        empty = torch.empty(1, 0, padded[0], padded[1], device=maps[0].device)
        anchors = self.anchor_generator(ImageList(empty, [padded]), maps)
        per_level = [one[0].numel() for one in logits]
        flat_logits, flat_deltas = concat_box_prediction_layers(logits, deltas)
        boxes = self.box_coder.decode(flat_deltas, anchors)
        found, scores = self.filter_proposals(
            boxes.view(1, -1, 4), flat_logits.view(1, -1), [size], per_level
        )
        return found[0], scores[0]


@no_type_check
class _FixedDetector(nn.Module):
    """See the module.

    Attributes:
        names: of the labels.
    """

    names: list[str]
    mean: Tensor
    std: Tensor

    def __init__(self, built: BuiltVild, names: tuple[str, ...]) -> None:
        super().__init__()
        network, config = built.network.eval(), built.config
        self.names = list(names)
        self.longest = config.picture_size
        self.step = bucket_step(config.picture_size)
        self.score_threshold = config.detection.score_threshold
        self.nms = config.detection.nms
        self.smallest = SMALLEST
        self.register_buffer("mean", torch.tensor(built.preprocess["mean"])[:, None, None])
        self.register_buffer("std", torch.tensor(built.preprocess["std"])[:, None, None])
        with torch.no_grad():
            example = torch.zeros(1, 3, *_TRACED)
            traced = torch.jit.trace(_Maps(network.trunk), example, check_trace=False)
            assert isinstance(traced, nn.Module)
            self.trunk = traced
        self.levels = [str(n) for n in range(len(self.trunk(example)))]
        self.proposals = proposal_parts(
            _Proposals, network.proposals, keep=config.network.proposals.test
        )
        self.align = network.cut.for_boxes
        self.box_head, self.box_deltas = network.box_head, network.box_deltas
        self.shares_head = network.name_head is None
        self.name_head = nn.Identity() if network.name_head is None else network.name_head
        self.scorer = name_scorer(built, names)
        self.coder = BoxCoder(BOX_WEIGHTS)

    def forward(self, picture: Tensor, max_detections: int = 300) -> tuple[Tensor, Tensor, Tensor]:
        """Everything in a picture that the names name, best first.

        Args:
            picture: uint8 [3, height, width], RGB, of any size.
            max_detections: at most.
        Returns:
            Boxes [k, 4] (left, top, right, bottom in pixels of the picture), scores [k], and labels
            [k], positions in ``names``.
        """
        height, width = picture.shape[1], picture.shape[2]
        share = self.longest / max(height, width)
        # round gives a float in TorchScript
        rows = max(1, int(round(height * share)))  # noqa: RUF046
        columns = max(1, int(round(width * share)))  # noqa: RUF046
        pixels = self.prepared(picture, rows, columns)
        padded = (pixels.shape[2], pixels.shape[3])
        maps = list(self.trunk(pixels))
        proposals, objectness = self.proposals(maps, padded, (rows, columns))
        named_maps: dict[str, Tensor] = {}
        for number, level in enumerate(self.levels):
            named_maps[level] = maps[number]
        features = self.align(named_maps, [proposals], [padded])
        box_features = self.box_head(features)
        named = box_features if self.shares_head else self.name_head(features)
        boxes = self.coder.decode_single(self.box_deltas(box_features), proposals)
        scores = self.scorer(features, named, objectness)
        found = self.best(clip_boxes_to_image(boxes, (rows, columns)), scores, max_detections)
        scale = torch.tensor(
            [columns / width, rows / height, columns / width, rows / height],
            dtype=boxes.dtype,
            device=boxes.device,
        )
        return found[0] / scale, found[1], found[2]

    def prepared(self, picture: Tensor, rows: int, columns: int) -> Tensor:
        """The picture [1, 3, padded, padded] in its size, normalised, 0 where it is padded."""
        resized = picture
        if rows != picture.shape[1] or columns != picture.shape[2]:
            resized = F.interpolate(
                picture[None], size=[rows, columns], mode="bilinear", antialias=True
            )[0]
        high = -(-rows // self.step) * self.step
        wide = -(-columns // self.step) * self.step
        pixels = torch.zeros(1, 3, high, wide, device=picture.device)
        pixels[0, :, :rows, :columns] = (resized.float() / 255 - self.mean) / self.std
        return pixels

    def best(
        self, boxes: Tensor, scores: Tensor, max_detections: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """``best_detections``: NMS name by name over as many of the best scores as it takes."""
        sides = boxes[:, 2:] - boxes[:, :2]
        usable = (sides >= self.smallest).all(dim=1)[:, None] & (scores > self.score_threshold)
        flat, there = scores.flatten(), usable.flatten().nonzero()[:, 0]
        order = there[torch.argsort(flat[there], stable=True, descending=True)]
        count = max(1, scores.shape[1])
        looked_at = min(len(order), 10 * max_detections)
        part, regions, labels, kept = order, order, order, order
        while True:
            part = order[:looked_at]
            regions = torch.div(part, count, rounding_mode="floor")
            labels = part % count
            # stands for scores that are sorted already
            ranks = torch.arange(len(part), 0, -1, device=boxes.device, dtype=boxes.dtype)
            kept = batched_nms(boxes[regions], ranks, labels, self.nms)
            if len(kept) >= max_detections or looked_at == len(order):
                break
            looked_at = min(len(order), 4 * looked_at)
        kept = kept[:max_detections]
        return boxes[regions[kept]], flat[part[kept]].float(), labels[kept]
