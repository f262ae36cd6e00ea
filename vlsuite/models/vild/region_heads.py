"""Heads that look at one region each, class-agnostic: features, box offsets, masks.

n = regions, c = channels, w = width of a head
"""

import torch
import torch.nn.functional as F
from einops.layers.torch import Rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import MultiScaleRoIAlign

from vlsuite.models.vild.settings import HeadSettings
from vlsuite.models.vild.trunk import Trunk, norm_layer

#: Rows and columns that a region is cut into for masks.
MASK_CELLS = 14
#: Rows and columns of a predicted mask.
MASK_SIDE = 2 * MASK_CELLS

_CONV_WIDTH = 256


class RegionHead(nn.Sequential):
    """Convolutions, then fully connected layers, each normalised.

    Published: 4 convolutions and 2 layers with batch norm (the released modeling/vild_head.py).
    With "group" the layers have LayerNorm.
    """

    def __init__(self, channels: int, settings: HeadSettings, *, norm: str) -> None:
        layers: list[nn.Module] = []
        for _ in range(settings.convs):
            layers += [
                nn.Conv2d(channels, _CONV_WIDTH, 3, padding=1, bias=False),
                norm_layer(norm)(_CONV_WIDTH),
                nn.ReLU(),
            ]
            channels = _CONV_WIDTH
        layers.append(Rearrange("n c h w -> n (c h w)"))
        width = channels * settings.cells**2
        for _ in range(settings.layers):
            layers += [
                nn.Linear(width, settings.width, bias=False),
                nn.BatchNorm1d(settings.width) if norm == "batch" else nn.LayerNorm(settings.width),
                nn.ReLU(),
            ]
            width = settings.width
        super().__init__(*layers)


class MaskHead(nn.Sequential):
    """One mask a region, whatever is in it: torchvision's layers with one class."""

    def __init__(self, channels: int, settings: HeadSettings, *, norm: str) -> None:
        width = settings.mask_width
        super().__init__(
            MaskRCNNHeads(
                channels, [width] * settings.mask_convs, dilation=1, norm_layer=norm_layer(norm)
            ),
            MaskRCNNPredictor(width, width, 1),
        )


class RegionCutter(nn.Module):
    """RoIAlign in fp32 over the maps of a trunk, whatever type they have."""

    def __init__(self, trunk: Trunk, *, cells: int) -> None:
        super().__init__()
        self._levels = list(trunk.levels)
        self.for_boxes = MultiScaleRoIAlign(self._levels, cells, sampling_ratio=2)
        self._masks = MultiScaleRoIAlign(self._levels, MASK_CELLS, sampling_ratio=2)

    def forward(
        self,
        maps: dict[str, Tensor],
        boxes: list[Tensor],
        *,
        picture_size: tuple[int, int],
        for_masks: bool = False,
    ) -> Float[Tensor, "n c cells cells"]:
        """Features of the regions of all pictures, one picture after the other.

        Args:
            maps: of the trunk.
            boxes: of each picture, in pixels of the padded pictures.
            picture_size: height and width of the padded pictures in pixels.
            for_masks: 14 x 14 cells instead of those of the settings.
        """
        wanted = {name: maps[name].float() for name in self._levels}
        align = self._masks if for_masks else self.for_boxes
        regions = [one.float() for one in boxes]
        found = align(wanted, regions, [picture_size] * len(boxes))
        return found.to(maps[self._levels[0]].dtype)


def unit(vectors: Float[Tensor, "n embed_dim"]) -> Float[Tensor, "n embed_dim"]:
    """Unit L2 norm, in fp32."""
    return F.normalize(vectors.float(), dim=1)


def near_zero(layer: nn.Linear, std: float) -> nn.Linear:
    """A last layer that says little at first, as in the released code."""
    torch.nn.init.normal_(layer.weight, std=std)
    torch.nn.init.zeros_(layer.bias)
    return layer
