"""Trunks of detectors: a picture becomes maps of features.

b = pictures, c = channels
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from vlsuite.models.vild.settings import TrunkSettings

#: Groups of every GroupNorm here.
GROUPS = 32

#: A picture's sides are padded to multiples of this: the coarsest map of the pyramid has stride 64.
STRIDE_MULTIPLE = 32


class Trunk(nn.Module):
    """Maps by level, finest first, and how many channels each has.

    Attributes:
        out_channels: c.
        levels: names of the maps that regions are cut from.
    """

    out_channels: int
    levels: tuple[str, ...]

    def forward(self, pixels: Float[Tensor, "b 3 height width"]) -> dict[str, Tensor]:
        """The maps, by name."""
        raise NotImplementedError


class SmallTrunk(Trunk):
    """Residual GroupNorm convolutions down to stride 8, for runs without a GPU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out_channels, self.levels = width, ("0",)
        self.stem = nn.Sequential(
            _convolution(3, 32, stride=2), _convolution(32, width // 2, stride=2)
        )
        self.body = nn.Sequential(
            _Residual(width // 2),
            _convolution(width // 2, width, stride=2),
            _Residual(width),
            _Residual(width),
        )

    def forward(self, pixels: Float[Tensor, "b 3 height width"]) -> dict[str, Tensor]:
        """One map of stride 8."""
        return OrderedDict([("0", self.body(self.stem(pixels)))])


class PyramidTrunk(Trunk):
    """ResNet-50 with a feature pyramid, random weights; four maps and a pooled fifth."""

    def __init__(self, norm: str) -> None:
        super().__init__()
        layer = norm_layer(norm)
        body = resnet50(weights=None, norm_layer=layer)
        self.net = BackboneWithFPN(
            body,
            return_layers={f"layer{n}": str(n - 1) for n in (1, 2, 3, 4)},
            in_channels_list=[256, 512, 1024, 2048],
            out_channels=256,
            extra_blocks=LastLevelMaxPool(),
            norm_layer=layer,
        )
        self.out_channels, self.levels = 256, ("0", "1", "2", "3")

    def forward(self, pixels: Float[Tensor, "b 3 height width"]) -> dict[str, Tensor]:
        """Strides 4, 8, 16, 32 and 64."""
        return self.net(pixels)


def build_trunk(settings: TrunkSettings) -> Trunk:
    """The trunk with random weights."""
    if settings.kind == "small":
        return SmallTrunk(settings.width)
    return PyramidTrunk(settings.norm)


def norm_layer(norm: str) -> Callable[[int], nn.Module]:
    """What makes a normalisation of some channels."""
    return nn.BatchNorm2d if norm == "batch" else partial(nn.GroupNorm, GROUPS)


def _convolution(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.GroupNorm(math.gcd(GROUPS, outputs), outputs),
        nn.ReLU(),
    )


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _convolution(width, width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(math.gcd(GROUPS, width), width)

    def forward(self, maps: Float[Tensor, "b c rows columns"]) -> Float[Tensor, "b c rows columns"]:
        return torch.relu(maps + self.norm(self.second(self.first(maps))))
