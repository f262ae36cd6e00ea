"""Two towers and nothing else: what every contrastive objective and evaluator sees.

b = batch, c h w = image channels, height, width, l = context length or shorter, d = embed_dim
"""

from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Float, Int
from open_clip.transformer import TextTransformer
from torch import Tensor, nn

from vlsuite.batches.end_of_text import EndOfText


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
        text: maps token ids [b, l] to features [b, d]; all ids until ``use_cut_texts``.
    """

    def __init__(self, visual: nn.Module, text: nn.Module) -> None:
        super().__init__()
        self.visual = visual
        self.text = text

    @property
    def end_of_text(self) -> EndOfText | None:
        """Behind which token ids may be cut; None where the tower needs all of them."""
        text = getattr(self.text, "base", self.text)
        return end_of_text(text) if isinstance(text, TrimmableTextTransformer) else None

    @property
    def pooled_at(self) -> EndOfText | None:
        """Where texts are pooled, whether or not they may be cut there."""
        return end_of_text(getattr(self.text, "base", self.text))

    def use_cut_texts(self) -> None:
        """From now on token ids may be cut behind their end, where the text tower allows it."""
        text = getattr(self.text, "base", self.text)
        if isinstance(text, TextTransformer) and text_is_trimmable(text):
            text.__class__ = TrimmableTextTransformer

    def use_whole_texts(self) -> None:
        """From now on the text tower is open_clip's own, which needs all token ids."""
        text: nn.Module = getattr(self.text, "base", self.text)
        if type(text) is TrimmableTextTransformer:
            text.__class__ = TextTransformer  # type: ignore[assignment]

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


def end_of_text(text: nn.Module) -> EndOfText | None:
    """The rule by which a tower finds the token that it pools; None: it pools another way."""
    if not isinstance(text, TextTransformer) or text.pool_type not in {"argmax", "eos"}:
        return None
    return EndOfText(text.eos_id if text.pool_type == "eos" else None)


def text_is_trimmable(text: TextTransformer) -> bool:
    """True where the pooled state cannot depend on anything after the end-of-text token."""
    return (
        text.attn_mask is not None
        and text.cls_emb is None
        and not text.use_pad_mask
        and end_of_text(text) is not None
    )
