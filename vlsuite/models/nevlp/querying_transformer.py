"""A transformer whose learned queries read a picture, beside a text, through shared attention.

Li et al. 2023, arXiv 2301.12597 (BLIP-2), section 3.1: queries and text tokens share the
self-attention of every layer; the queries alone look at the picture, through cross-attention in
every second layer; queries and text have feed-forward parts of their own. That 32 queries, these
layers and the three attention masks are so was read from the public LAVIS code as well.

Departures, our own inference: layers normalise their input rather than their output, since
nothing here starts from BERT weights (which are not loaded), and cross-attention begins in the
first layer.

b = batch, q = queries, l = text tokens, n = image tokens, w = width
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from vlsuite.errors import ConfigError
from vlsuite.models.language.causal_lm import NO_TOKEN

_TABLE_SD = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryingConfig:
    """Size of the querying transformer.

    Attributes:
        num_queries: vectors that a picture is told in.
        width: of a query and a text token.
        depth: layers; every second one, from the first on, looks at the picture.
        heads: of all attention; they divide ``width``.
        mlp_ratio: hidden width of the feed-forward parts over ``width``.
        dropout: of attention and feed-forward outputs, [0, 1).
    """

    num_queries: int = 32
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp_ratio: float = 4.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if min(self.num_queries, self.width, self.depth, self.heads) < 1:
            raise ConfigError("model.querying: num_queries, width, depth and heads must be >= 1")
        if self.width % self.heads:
            raise ConfigError(
                f"model.querying.width={self.width} must be a multiple of heads={self.heads}"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"model.querying.dropout={self.dropout} must lie in [0, 1)")


class Read(NamedTuple):
    """What comes out: a side that was not given is None.

    Attributes:
        queries: their outputs.
        text: outputs at the places of the text tokens.
    """

    queries: Float[Tensor, "batch queries width"] | None
    text: Float[Tensor, "batch length width"] | None


class QueryingTransformer(nn.Module):
    """Queries alone (uni-modal), text alone (uni-modal), or both seeing each other.

    The three are calls with a picture, with a text, and with both. Calls of one side only are
    what one call of both under a mask that hides the sides from each other would give.

    Args:
        config: its size.
        image_width: of the image tokens.
        vocab_size: ids of text tokens lie in [0, vocab_size).
        num_positions: text tokens at most.
    """

    def __init__(
        self, config: QueryingConfig, *, image_width: int, vocab_size: int, num_positions: int
    ) -> None:
        super().__init__()
        width = config.width
        self.query_tokens = nn.Parameter(torch.empty(config.num_queries, width))
        self.token_embedding = nn.Embedding(vocab_size, width)
        self.position_embedding = nn.Parameter(torch.empty(num_positions, width))
        self.image_norm = nn.LayerNorm(image_width)
        self.layers = nn.ModuleList(
            _Layer(config, image_width=image_width if number % 2 == 0 else None)
            for number in range(config.depth)
        )
        self.query_norm, self.text_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self._reset(config.depth)

    def forward(
        self,
        image_tokens: Float[Tensor, "batch tokens image_width"] | None = None,
        text_ids: Int64[Tensor, "batch length"] | None = None,
        positions: Int64[Tensor, " length"] | None = None,
    ) -> Read:
        """Read a picture, a text, or both together; see the class.

        Args:
            image_tokens: of the frozen image tower, not normalised.
            text_ids: ``NO_TOKEN`` where a text has none; one token at least in each row.
            positions: of the columns of ``text_ids``; None counts from 0.
        """
        queries = text = is_there = image = None
        if image_tokens is not None:
            image = self.image_norm(image_tokens)
            queries = repeat(self.query_tokens, "q w -> b q w", b=len(image_tokens))
        if text_ids is not None:
            text = self.token_embedding(text_ids.clamp_min(0))
            if positions is None:
                positions = torch.arange(text_ids.shape[1], device=text_ids.device)
            text = text + self.position_embedding[positions]
            is_there = text_ids != NO_TOKEN
        for layer in self.layers:
            queries, text = layer(queries, text, image, is_there)
        return Read(
            None if queries is None else self.query_norm(queries),
            None if text is None else self.text_norm(text),
        )

    def _reset(self, depth: int) -> None:
        """Normal weights of variance 1 / inputs; outputs of residual branches smaller.

        BERT's standard deviation of 0.02, made for a width of 768, is too small for narrow ones:
        matching then stays long at the loss of one that cannot compare.
        """
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                is_output = name.endswith((".out", ".down"))
                shrink = (2 * depth) ** -0.5 if is_output else 1.0
                nn.init.normal_(module.weight, std=shrink * module.in_features**-0.5)
                nn.init.zeros_(module.bias)
        for table in (self.token_embedding.weight, self.query_tokens, self.position_embedding):
            nn.init.normal_(table, std=_TABLE_SD)


class _Layer(nn.Module):
    """Shared self-attention, cross-attention of the queries where asked for, two MLPs."""

    def __init__(self, config: QueryingConfig, *, image_width: int | None) -> None:
        super().__init__()
        width = config.width
        self.norm = nn.LayerNorm(width)
        self.attention = _Attention(width, width, heads=config.heads)
        self.cross_norm = nn.LayerNorm(width) if image_width else None
        self.cross = _Attention(width, image_width, heads=config.heads) if image_width else None
        self.query_mlp = _Mlp(width, config.mlp_ratio)
        self.text_mlp = _Mlp(width, config.mlp_ratio)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        queries: Tensor | None,
        text: Tensor | None,
        image: Tensor | None,
        is_there: Bool[Tensor, "batch length"] | None,
    ) -> tuple[Tensor | None, Tensor | None]:
        sides = [side for side in (queries, text) if side is not None]
        sizes = [side.shape[1] for side in sides]
        hidden = torch.cat(sides, dim=1)
        normed = self.norm(hidden)
        attended = self.attention(normed, normed, mask=_mask(queries, is_there))
        parts = list((hidden + self.dropout(attended)).split(sizes, dim=1))
        if text is not None:
            text = parts.pop()
            text = text + self.dropout(self.text_mlp(text))
        if queries is not None:
            queries = parts.pop()
            if self.cross is not None and self.cross_norm is not None:
                queries = queries + self.dropout(self.cross(self.cross_norm(queries), image))
            queries = queries + self.dropout(self.query_mlp(queries))
        return queries, text


def _mask(
    queries: Tensor | None, is_there: Bool[Tensor, "batch length"] | None
) -> Bool[Tensor, "batch 1 1 keys"] | None:
    """Which keys may be looked at: all queries, and text tokens that are there."""
    if is_there is None:
        return None
    if queries is not None:
        always = is_there.new_ones(queries.shape[:2])
        is_there = torch.cat([always, is_there], dim=1)
    return rearrange(is_there, "b k -> b 1 1 k")


class _Attention(nn.Module):
    """Multi-head attention from one sequence to itself or another."""

    def __init__(self, width: int, context_width: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(context_width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, hidden: Tensor, context: Tensor, *, mask: Tensor | None = None) -> Tensor:
        queries = rearrange(self.query(hidden), "b n (h d) -> b h n d", h=self.heads)
        keys, values = rearrange(
            self.key_value(context), "b n (two h d) -> two b h n d", two=2, h=self.heads
        )
        mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        return self.out(rearrange(mixed, "b h n d -> b n (h d)"))


class _Mlp(nn.Module):
    """Normalise, widen, GELU, narrow."""

    def __init__(self, width: int, ratio: float) -> None:
        super().__init__()
        hidden = int(width * ratio)
        self.norm, self.up = nn.LayerNorm(width), nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(self.norm(hidden))))
