"""A small model that matches, captions and answers by rules of its own."""

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from tests.support.embedding_model import SmallClip

COLOURS = ("red", "green", "blue")
PATCH = 8  # pixels


class SmallReader(SmallClip):
    """A ``SmallClip`` with a bilinear form for pairs and captions that name the colours it sees.

    Args:
        seed: of the weights.
        name: shown in results.
    """

    def __init__(self, *, seed: int = 0, name: str = "small-reader") -> None:
        super().__init__(seed=seed, name=name)
        generator = torch.Generator().manual_seed(seed)
        self.form = torch.randn(3 * PATCH * PATCH, self.embed_dim, generator=generator)
        self.num_encoded = 0
        self.num_captioned = 0

    def image_tokens(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch tokens width"]:
        """The patches themselves."""
        self.num_encoded += len(images)
        return rearrange(
            images.float() / 255 - 0.5, "b c (h p) (w q) -> b (h w) (c p q)", p=PATCH, q=PATCH
        )

    def match_tokens(
        self, tokens: Float[Tensor, "pairs tokens width"], texts: list[str]
    ) -> Float[Tensor, " pairs"]:
        """Mean patch, bilinear form, text embedding."""
        projected = tokens.mean(dim=1) @ self.form
        return (projected * self.embed_texts(texts)).sum(dim=-1)

    def caption(
        self,
        images: UInt8[Tensor, "batch 3 height width"],
        *,
        prompts: list[str] | None = None,
        max_tokens: int,
        num_beams: int = 1,
    ) -> list[str]:
        """The colours of the corners, as many as there may be tokens."""
        self.num_captioned += len(images)
        corners = images[:, :, [0, 0, -1, -1], [0, -1, 0, -1]].argmax(dim=1)
        words = [[COLOURS[i] for i in row[:max_tokens]] for row in corners.tolist()]
        return [" ".join(own) + " " for own in words]

    def answer(
        self,
        images: UInt8[Tensor, "batch 3 height width"],
        questions: list[str],
        *,
        max_tokens: int,
    ) -> list[str]:
        """Colour of the corner that the question names."""
        corner = [0 if "left" in question else -1 for question in questions]
        shown = [image[:, 0, x].argmax() for image, x in zip(images, corner, strict=True)]
        return [f"The {COLOURS[int(i)]}." for i in shown]
