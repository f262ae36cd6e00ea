"""Two towers and nothing else: what every contrastive objective and evaluator sees.

b = batch, c h w = image channels, height, width, l = context length or shorter, d = embed_dim
"""

from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Float, Int
from open_clip.transformer import TextTransformer
from torch import Tensor, nn


class Embeddings(NamedTuple):
    """Unit-norm fp32 embeddings; a side that was not asked for is None."""

    image_embeds: Float[Tensor, "batch embed_dim"] | None
    text_embeds: Float[Tensor, "batch embed_dim"] | None


class DualEncoder(nn.Module):
    """An image tower and a text tower that share an embedding space.

    The learned logit scale and bias are not here: they belong to the objective, outside the
    partitioned parameters (a 0-dimensional parameter crashes ``deepspeed.initialize`` with
    several processes, and clamping one under ZeRO edits a copy, not the fp32 master).

    Args:
        visual: maps normalised images [b, c, h, w] to features [b, d].
        text: maps token ids [b, l] to features [b, d].
    """

    def __init__(self, visual: nn.Module, text: nn.Module) -> None:
        super().__init__()
        self.visual = visual
        self.text = text
        if isinstance(text, TextTransformer) and text_is_trimmable(text):
            text.__class__ = TrimmableTextTransformer

    @property
    def accepts_trimmed_text(self) -> bool:
        """Whether token ids may be cut after the last end-of-text token of the batch."""
        return isinstance(getattr(self.text, "base", self.text), TrimmableTextTransformer)

    def forward(
        self,
        images: Float[Tensor, "batch channels height width"] | None = None,
        token_ids: Int[Tensor, "batch length"] | None = None,
    ) -> Embeddings:
        """Embed either side or both; both are L2-normalised in fp32 whatever the weights' type."""
        image_embeds = text_embeds = None
        if images is not None:
            image_embeds = F.normalize(self.visual(images).float(), dim=-1)
        if token_ids is not None:
            text_embeds = F.normalize(self.text(token_ids).float(), dim=-1)
        return Embeddings(image_embeds, text_embeds)


class TrimmableTextTransformer(TextTransformer):
    """open_clip's text tower for inputs shorter than its context length.

    Under a causal mask nothing after the end-of-text token reaches its state, so padding after
    the longest caption of a batch is computed for nothing. open_clip slices its positional
    embedding but not its mask; this slices both.
    """

    def _embeds(self, text: Tensor) -> tuple[Tensor, Tensor | None]:
        length = text.shape[1]
        cast_dtype = self.transformer.get_cast_dtype()
        hidden = self.token_embedding(text).to(cast_dtype)
        hidden = hidden + self.positional_embedding[:length].to(cast_dtype)
        return hidden, self.attn_mask[:length, :length]  # type: ignore[index]


def text_is_trimmable(text: TextTransformer) -> bool:
    """True where the pooled state cannot depend on anything after the end-of-text token."""
    return (
        text.attn_mask is not None
        and text.cls_emb is None
        and not text.use_pad_mask
        and text.pool_type in {"argmax", "eos"}
    )
