"""Vectors that are nothing but small pictures: colours and where they are, for near-duplicates."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

_SIDE = 24  # pixels


class PixelModel:
    """Pictures of 24 x 24 pixels, white being nothing, as unit vectors.

    Satisfies ``vlsuite.models.embedding.PairEmbedder`` as far as pictures go.
    """

    fingerprint = f"pixels of {_SIDE} x {_SIDE}, less white"

    @property
    def image_transform(self) -> Callable[..., Tensor]:
        """A picture without transparency (the decoder puts it on white) to its pixels."""
        return _pixels

    def embed_images(self, images: Tensor) -> Tensor:
        """Unit vectors; those of white pictures are all ones, scaled."""
        return _embedded(images)

    def embed_texts(self, texts: list[str]) -> Tensor:
        """Never asked for."""
        return torch.zeros(len(texts), 3 * _SIDE**2)


def _pixels(picture: Image.Image) -> UInt8[Tensor, "3 side side"]:
    return pil_to_tensor(picture.resize((_SIDE, _SIDE), Image.Resampling.BOX))


def _embedded(images: UInt8[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch numbers"]:
    dark = 1 - rearrange(images, "batch c h w -> batch (c h w)").float() / 255
    is_white = (dark == 0).all(dim=1, keepdim=True)
    return F.normalize(torch.where(is_white, 1.0, dark), dim=1)
