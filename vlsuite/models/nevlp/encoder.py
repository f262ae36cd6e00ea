"""NEVLP: a querying transformer between a frozen image tower and a frozen language model.

Published (arXiv 2409.09582, abstract): an image encoder and a large language model, both frozen,
bridged by a transformer that is trained on image-text contrast, image-text matching and
image-grounded generation; a noise probability for each pair regularises the contrast, and visual
concepts enhance matching and generation. Its text and code could not be had; the architecture is
that of its nearest verified relative, BLIP-2 (arXiv 2301.12597, section 3.1, and the public LAVIS
code), with both of its stages in one. How concepts enter, the pooling of queries to one vector,
and the mask of equal captions are our own inference.

b = batch, n = image tokens, q = queries, l = caption tokens, c = concept tokens, d = embed_dim
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from vlsuite.batches.concepts import concept_text
from vlsuite.batches.pairs import PairBatch
from vlsuite.models.dual_encoder.towers import DualEncoder
from vlsuite.models.language.causal_lm import (
    NO_TOKEN,
    LanguageModel,
    LmTokenizer,
    caption_losses,
    embedded,
    generated,
    trimmed,
)
from vlsuite.models.nevlp.hard_negatives import Contents, hard_negatives
from vlsuite.models.nevlp.image_tokens import tower_tokens
from vlsuite.models.nevlp.querying_transformer import (
    QueryingConfig,
    QueryingTransformer,
)

#: Marks of the parts that are trained, in parameter names; all others are frozen.
FROZEN_PREFIXES = ("image_tower.", "language_model.")


@dataclass(frozen=True, kw_only=True, slots=True)
class BridgeSettings:
    """How the trained part sits between the frozen ones; see ``NevlpConfig`` for the meaning."""

    image_layer: int
    embed_dim: int
    itc_pool: Literal["mean", "max"]
    context_length: int
    concept_length: int
    mining_scale: float
    negatives: Literal["global", "local"]
    concept_dropout: float
    token_smoothing: float


class NevlpOutput(NamedTuple):
    """What the objective needs of this rank's pairs.

    Attributes:
        image_embeds: unit norm, fp32; one vector under mean pooling, else one a query.
        text_embeds: unit norm, fp32.
        match_logits: (does not belong, belongs) for the pair itself, for its caption with a hard
            negative picture, and for its picture with a hard negative caption; fp32.
        has_negative: False where the batch holds nothing else for a pair.
        caption_losses: nats a token of the caption, given the picture.
    """

    image_embeds: Float[Tensor, "batch queries embed_dim"]
    text_embeds: Float[Tensor, "batch embed_dim"]
    match_logits: Float[Tensor, "batch 3 2"]
    has_negative: Bool[Tensor, " batch"]
    caption_losses: Float[Tensor, " batch"]


class NevlpEncoder(nn.Module):
    """Frozen image tower, querying transformer, frozen language model, and what joins them.

    Args:
        image_tower: frozen; its text tower serves to name what is in a picture.
        language: frozen.
        querying: size of the querying transformer.
        image_width: of the image tower's tokens.
        settings: how they are joined.
    """

    def __init__(
        self,
        image_tower: DualEncoder,
        language: LanguageModel,
        *,
        querying: QueryingConfig,
        image_width: int,
        settings: BridgeSettings,
    ) -> None:
        super().__init__()
        self.settings = settings
        #: Off where the objective does not count generation: the language model then does not run.
        self.computes_captions = True
        self.texts: LmTokenizer = language.texts
        self.image_tower = image_tower
        self.language_model: Any = language.model
        table = language.model.get_input_embeddings()
        self.querying = QueryingTransformer(
            querying,
            image_width=image_width,
            vocab_size=max(table.num_embeddings, len(language.texts.tokenizer)),
            num_positions=settings.context_length + settings.concept_length,
        )
        self.image_projection = nn.Linear(querying.width, settings.embed_dim)
        self.text_projection = nn.Linear(querying.width, settings.embed_dim)
        self.match_head = nn.Linear(querying.width, 2)
        self.to_language = nn.Linear(querying.width, table.embedding_dim)
        self.freeze()

    def freeze(self) -> None:
        """No gradients for the weights of the frozen parts, and no dropout in them."""
        for part in (self.image_tower, self.language_model):
            part.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "NevlpEncoder":
        """As ``nn.Module.train``; the frozen parts stay in eval mode."""
        super().train(mode)
        self.image_tower.eval()
        self.language_model.eval()
        return self

    @property
    def visual(self) -> nn.Module:
        """The image tower, under the name that a two-tower model has for it."""
        return self.image_tower.visual

    @property
    def text(self) -> nn.Module:
        """What reads texts, under the name that a two-tower model has for it."""
        return self.querying

    def inputs_of(self, batch: PairBatch, device: torch.device | str) -> dict[str, Tensor]:
        """What ``forward`` needs of a batch besides its pixels."""
        names = batch.concepts or ((),) * len(batch)
        shown = [
            _number(uid if identity is None else f"identity\0{identity}")
            for uid, identity in zip(batch.uids, batch.identities, strict=True)
        ]
        found = {
            "token_ids": batch.token_ids,
            "concept_ids": self.concept_ids(names),
            "identities": torch.tensor(shown),
        }
        return {name: value.to(device, non_blocking=True) for name, value in found.items()}

    def concept_ids(
        self, names: Sequence[Sequence[str]]
    ) -> Int64[Tensor, "pictures concept_length"]:
        """Tokens of "objects: a, b." for each picture; none for one without concepts."""
        told = [concept_text(own) for own in names]
        return self.texts.plain(told, length=self.settings.concept_length)

    def forward(
        self,
        pixels: Float[Tensor, "batch 3 height width"] | None,
        token_ids: Int64[Tensor, "batch context_length"],
        concept_ids: Int64[Tensor, "batch concept_length"],
        identities: Int64[Tensor, " batch"],
        image_tokens: Float[Tensor, "batch tokens image_width"] | None = None,
    ) -> NevlpOutput:
        """All that the three losses need, in one pass; draws from torch's generator.

        Args:
            pixels: normalised; None where ``image_tokens`` is given.
            token_ids: of the captions.
            concept_ids: see :meth:`concept_ids`.
            identities: equal for pictures that show the same.
            image_tokens: what :meth:`image_tokens` gave for the pictures, where it is known.
        """
        tokens = image_tokens
        if tokens is None:
            assert pixels is not None, "pictures come as pixels or as tokens"
            tokens = self.image_tokens(pixels)
        concept_ids = self._some_dropped(concept_ids)
        queries = self.querying(tokens).queries
        image_embeds, text_embeds = self.embed_queries(queries), self.embed_texts(token_ids)
        others = hard_negatives(
            Contents(tokens, concept_ids, token_ids, identities),
            image_embeds.detach(),
            text_embeds.detach(),
            scale=self.settings.mining_scale,
            everywhere=self.settings.negatives == "global",
        )
        match_logits = self.match(
            torch.cat([tokens, others.image_tokens, tokens]),
            torch.cat([token_ids, token_ids, others.token_ids]),
            torch.cat([concept_ids, others.concept_ids, concept_ids]),
        )
        return NevlpOutput(
            image_embeds,
            text_embeds,
            rearrange(match_logits, "(kind b) two -> b kind two", kind=3),
            others.has_one,
            self._caption_losses(self.to_language(queries), concept_ids, token_ids),
        )

    def _caption_losses(
        self,
        prefix: Float[Tensor, "batch queries language_width"],
        concept_ids: Int64[Tensor, "batch concept_length"],
        token_ids: Int64[Tensor, "batch context_length"],
    ) -> Float[Tensor, " batch"]:
        """Nats a token; zeros, with zero gradients, where nobody asks for them."""
        if not self.computes_captions:
            return prefix.float().sum(dim=(1, 2)) * 0.0
        told = trimmed(concept_ids), trimmed(token_ids)
        sequences = embedded(self.language_model, prefix, *told)
        smoothing = self.settings.token_smoothing
        return caption_losses(self.language_model, sequences, label_smoothing=smoothing)

    def image_tokens(
        self, pixels: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch tokens image_width"]:
        """What the frozen image tower says of pictures; see ``tower_tokens``."""
        return tower_tokens(self.visual, pixels, image_layer=self.settings.image_layer)

    def embed_queries(
        self, queries: Float[Tensor, "batch queries width"]
    ) -> Float[Tensor, "batch pooled embed_dim"]:
        """Unit-norm fp32 embeddings of a picture: one, or under max pooling one a query."""
        embeds = self.image_projection(queries).float()
        if self.settings.itc_pool == "mean":
            embeds = embeds.mean(dim=1, keepdim=True)
        return F.normalize(embeds, dim=-1)

    def embed_texts(
        self, token_ids: Int64[Tensor, "batch length"]
    ) -> Float[Tensor, "batch embed_dim"]:
        """Unit-norm fp32 embeddings of texts, read at the begin mark; concepts are not told."""
        text = self.querying(text_ids=trimmed(token_ids)).text
        return F.normalize(self.text_projection(text[:, 0]).float(), dim=-1)

    def match(
        self,
        image_tokens: Float[Tensor, "batch tokens image_width"],
        token_ids: Int64[Tensor, "batch length"],
        concept_ids: Int64[Tensor, "batch concept_length"],
    ) -> Float[Tensor, "batch 2"]:
        """(does not belong, belongs), the mean of what each query says; fp32."""
        texts, concepts = trimmed(token_ids), trimmed(concept_ids)
        device = token_ids.device
        first = self.settings.context_length
        positions = [
            torch.arange(texts.shape[1], device=device),
            torch.arange(first, first + concepts.shape[1], device=device),
        ]
        read = self.querying(image_tokens, torch.cat([texts, concepts], 1), torch.cat(positions))
        return self.match_head(read.queries).float().mean(dim=1)

    @torch.no_grad()
    def write(
        self,
        image_tokens: Float[Tensor, "batch tokens image_width"],
        concept_ids: Int64[Tensor, "batch concept_length"],
        prompts: Sequence[str],
        *,
        max_tokens: int,
        num_beams: int,
    ) -> list[str]:
        """What the language model writes about each picture after its prompt."""
        device = image_tokens.device
        prefix = self.to_language(self.querying(image_tokens).queries)
        begin = torch.full((len(prompts), 1), self.texts.begin, device=device)
        told = self.texts.plain(prompts, length=self.settings.context_length).to(device)
        given = torch.cat([trimmed(concept_ids), begin, trimmed(told)], dim=1)
        none = given.new_full((len(given), 1), NO_TOKEN)
        sequences = embedded(self.language_model, prefix, given, none)
        language = LanguageModel(self.language_model, self.texts)
        return generated(language, sequences, max_tokens=max_tokens, num_beams=num_beams)

    def _some_dropped(
        self, concept_ids: Int64[Tensor, "batch concept_length"]
    ) -> Int64[Tensor, "batch concept_length"]:
        """In training, whole pictures without their concepts, so that the model can do without."""
        share = self.settings.concept_dropout
        if not self.training or share == 0:
            return concept_ids
        dropped = torch.rand(len(concept_ids), device=concept_ids.device) < share
        columns = concept_ids.shape[1]
        return concept_ids.masked_fill(repeat(dropped, "b -> b c", c=columns), NO_TOKEN)


def _number(text: str) -> int:
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
