"""RDE's second embedding: pooled from the tokens that the global token attends to most.

Qin et al. 2024 (CVPR, "Noisy-Correspondence Learning for Text-to-Image Person Re-identification"),
section 3.2; sizes and order of operations as in model/CrossEmbeddingLayer_tse.py of
QinYang79/RDE. A tower wrapped here gives the global and the token-selection embedding side by
side, each of unit norm, so that their inner product, divided by 2, is RDE's mean of two cosines:
to everything else the model stays a dual encoder.

b = batch, l = tokens, w = tower width, d = embed_dim, k = kept tokens
"""

import math
from collections.abc import Iterable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from open_clip.transformer import ResidualAttentionBlock, TextTransformer, VisionTransformer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vlsuite.errors import ModelError
from vlsuite.models.dual_encoder.towers import end_of_text

#: Normalisation inside the head: "layer"; "batch" as the paper describes it, with statistics of
#: the local batch; "affine", a learned scale and offset a channel, which is what the authors'
#: code trained its published noisy results with (batch norm left in eval mode by accident).
Norm = Literal["layer", "batch", "affine"]


class SelectionHead(nn.Module):
    """max over kept tokens of MLP(x) + FC(x), x a token of unit norm.

    Args:
        embed_dim: of the tokens.
        width: of the embedding; 1,024 in the paper.
        norm: see :data:`Norm`.
    """

    def __init__(self, embed_dim: int, width: int, *, norm: Norm) -> None:
        super().__init__()
        self.direct = nn.Linear(embed_dim, width)
        self.hidden = nn.Linear(embed_dim, embed_dim)
        self.norm = _norm(norm, embed_dim)
        self.out = nn.Linear(embed_dim, width)

    def forward(
        self, tokens: Float[Tensor, "batch kept embed_dim"], is_kept: Bool[Tensor, "batch kept"]
    ) -> Float[Tensor, "batch width"]:
        """Pool the tokens that are kept; every row keeps one at least."""
        x = F.normalize(tokens, dim=-1)
        refined = self.out(F.relu(self.norm(self.hidden(x))))
        found = (refined + self.direct(x)).masked_fill(~is_kept[..., None], -math.inf)
        return found.amax(dim=1)


class SelectingImageTower(nn.Module):
    """An open_clip ViT that also embeds its most attended patches.

    Args:
        base: the tower.
        head: pools the projected patch tokens.
        share: of the patches that are kept, R in the paper.
    """

    def __init__(self, base: VisionTransformer, head: SelectionHead, *, share: float) -> None:
        super().__init__()
        self.base, self.selection, self._share = base, head, share

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch d"]:
        """Global and token-selection embedding, each of unit norm."""
        x, last = _run(self.base.transformer, self.base._embeds(images), None)
        first = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        attention = global_attention(last, x, first, torch.ones_like(x[..., 0], dtype=torch.bool))
        pooled, tokens = self.base._pool(last(x))
        if self.base.proj is not None:
            pooled, tokens = pooled @ self.base.proj, tokens @ self.base.proj
        count = max(1, int(self._share * tokens.shape[1]))
        chosen = attention[:, 1:].topk(count, dim=1).indices
        kept = tokens.gather(1, chosen[..., None].expand(-1, -1, tokens.shape[2]))
        return side_by_side(pooled, self.selection(kept, torch.ones_like(chosen, dtype=torch.bool)))


class SelectingTextTower(nn.Module):
    """An open_clip text tower that also embeds its most attended words.

    The share is of the context length without its two special tokens; a shorter caption pools
    over its own words. Padding and special tokens are not words; of a caption without any, the
    end-of-text token is pooled.

    Args:
        base: the tower.
        head: pools the projected token states.
        share: of the context that is kept.
    """

    def __init__(self, base: TextTransformer, head: SelectionHead, *, share: float) -> None:
        super().__init__()
        self.base, self.selection = base, head
        self._count = max(1, int(share * (base.context_length - 2)))
        rule = end_of_text(base)
        assert rule is not None, "check_towers asks for it"
        self._end_of_text = rule

    def forward(self, token_ids: Int[Tensor, "batch length"]) -> Float[Tensor, "batch d"]:
        """Global and token-selection embedding, each of unit norm."""
        x, mask = self.base._embeds(token_ids)
        x, last = _run(self.base.transformer, x, mask)
        end = self._end_of_text.places(token_ids)
        places = torch.arange(token_ids.shape[1], device=x.device)
        attention = global_attention(last, x, end, places[None, :] <= end[:, None])
        states = self.base.ln_final(last(x, attn_mask=mask))
        projected = _projected(states, self.base.text_projection)
        pooled = projected[torch.arange(len(x), device=x.device), end]
        is_word = (places[None, :] > 0) & (places[None, :] < end[:, None])
        is_word = is_word | ((end[:, None] <= 1) & (places[None, :] == end[:, None]))
        count = min(self._count, token_ids.shape[1])
        best = attention.masked_fill(~is_word, -1).topk(count, dim=1)
        kept = projected.gather(1, best.indices[..., None].expand(-1, -1, projected.shape[2]))
        return side_by_side(pooled, self.selection(kept, best.values >= 0))


@torch.no_grad()
def global_attention(
    block: ResidualAttentionBlock,
    x: Float[Tensor, "batch tokens width"],
    place: Int[Tensor, " batch"],
    is_visible: Bool[Tensor, "batch tokens"],
) -> Float[Tensor, "batch tokens"]:
    """Attention of one token to all tokens in a block, averaged over heads.

    Args:
        block: its query and key projections are used.
        x: what the block receives.
        place: of the token that attends, by row.
        is_visible: tokens it may attend to.
    """
    normed, attn = block.ln_1(x), block.attn
    query_weight, key_weight, _ = attn.in_proj_weight.chunk(3)
    query_bias, key_bias, _ = attn.in_proj_bias.chunk(3)
    asking = normed[torch.arange(len(x), device=x.device), place]
    queries = rearrange(
        F.linear(asking, query_weight, query_bias), "b (h e) -> b h e", h=attn.num_heads
    )
    keys = rearrange(
        F.linear(normed, key_weight, key_bias), "b l (h e) -> b h l e", h=attn.num_heads
    )
    logits = torch.einsum("bhe,bhle->bhl", queries, keys) / math.sqrt(queries.shape[-1])
    logits = logits.float().masked_fill(~is_visible[:, None, :], -math.inf)
    return torch.softmax(logits, dim=-1).mean(dim=1)


def side_by_side(pooled: Tensor, selected: Tensor) -> Tensor:
    """Both embeddings at unit norm in one row of fp32."""
    return torch.cat(
        [F.normalize(pooled.float(), dim=-1), F.normalize(selected.float(), dim=-1)], dim=-1
    )


def check_towers(visual: nn.Module, text: nn.Module) -> None:
    """Refuse towers whose last block does not show what the global token attends to.

    Raises:
        ModelError: not a ViT with a class token and standard blocks, or not a causal text
            transformer that pools its end-of-text token.
    """
    needs = "model.token_selection needs"
    is_vit = isinstance(visual, VisionTransformer) and visual.attn_pool is None
    if not is_vit or visual.pool_type != "tok" or visual.final_ln_after_pool:
        raise ModelError(f"{needs} an open_clip ViT that pools its class token (ViT-B-16, ...)")
    if not isinstance(text, TextTransformer) or text.cls_emb is not None:
        raise ModelError(f"{needs} open_clip's own text transformer without a class token")
    if end_of_text(text) is None or text.attn_mask is None or text.use_pad_mask:
        raise ModelError(f"{needs} a causal text tower that pools its end-of-text token")
    towers: list[Any] = [visual.transformer, text.transformer]
    if not all(_standard(tower.resblocks) and tower.batch_first for tower in towers):
        raise ModelError(f"{needs} towers of open_clip's standard attention blocks")


def _standard(blocks: Iterable[nn.Module]) -> bool:
    return all(type(block) is ResidualAttentionBlock for block in blocks)


def _run(transformer: Any, x: Tensor, mask: Tensor | None) -> tuple[Tensor, ResidualAttentionBlock]:
    """The input of the last block, and that block."""
    *blocks, last = transformer.resblocks
    for block in blocks:
        if transformer.grad_checkpointing:
            x = checkpoint(block, x, None, None, mask, use_reentrant=False)
        else:
            x = block(x, attn_mask=mask)
    return x, last


def _projected(states: Tensor, projection: nn.Linear | Tensor | None) -> Tensor:
    if projection is None:
        return states
    return projection(states) if isinstance(projection, nn.Linear) else states @ projection


class _Affine(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight + self.bias


class _BatchNorm(nn.BatchNorm1d):
    def forward(self, x: Tensor) -> Tensor:
        return rearrange(
            super().forward(rearrange(x, "b k d -> (b k) d")), "(b k) d -> b k d", b=len(x)
        )


def _norm(kind: Norm, width: int) -> nn.Module:
    kinds = {"layer": nn.LayerNorm, "batch": _BatchNorm, "affine": _Affine}
    return kinds[kind](width)
