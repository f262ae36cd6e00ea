"""Settings of a NEVLP model; ``config`` builds one from them."""

import math
from dataclasses import dataclass, field
from typing import Literal

from vlsuite.errors import ConfigError
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.nevlp.querying_transformer import QueryingConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class NevlpSettings:
    """Which frozen parts, and the size of what is trained between them.

    Attributes:
        image_tower: a CLIP with weights whose image tower is a ViT of open_clip or timm; its own
            training options have no effect.
        image_layer: block of the image tower whose output is read, from the end; -2 is the last
            but one, as in BLIP-2.
        querying: size of the querying transformer.
        language_model: folder or Hugging Face id of a causal language model (safetensors).
        context_length: tokens of a caption at most, begin and end mark included.
        concept_length: tokens of the text of concepts at most.
        embed_dim: of the space that pictures and texts are compared in.
        itc_pool: "mean" compares the mean of the projected queries with a text, so that a picture
            has one vector and the model serves every task; "max" takes the best query as BLIP-2
            does, and can then only be used for matching and writing.
        mining_scale: multiplier of cosines in the softmax that hard negatives are drawn from
            (LAVIS takes the learned one, which lies outside the model here).
        negatives: "global" draws them among the pairs of all processes, "local" saves the exchange
            of image tokens.
        concept_dropout: share of pictures shown without their concepts in training, [0, 1].
        token_smoothing: label smoothing of the captions' tokens, [0, 1).
        concepts: file of 'vlsuite data concepts' made with the very model of ``image_tower``: the
            trained model then names concepts itself. None: it does without.
    """

    image_tower: OpenClipConfig = field(default_factory=OpenClipConfig)
    image_layer: int = -2
    querying: QueryingConfig = field(default_factory=QueryingConfig)
    language_model: str = ""
    context_length: int = 32
    concept_length: int = 24
    embed_dim: int = 256
    itc_pool: Literal["mean", "max"] = "mean"
    mining_scale: float = 1 / 0.07
    negatives: Literal["global", "local"] = "global"
    concept_dropout: float = 0.5
    token_smoothing: float = 0.0
    concepts: str | None = None

    def __post_init__(self) -> None:
        if self.context_length < 3 or self.concept_length < 1 or self.embed_dim < 1:
            raise ConfigError(
                "model: need context_length >= 3, concept_length >= 1 and embed_dim >= 1"
            )
        if not 0 <= self.concept_dropout <= 1:
            raise ConfigError(f"model.concept_dropout={self.concept_dropout} must lie in [0, 1]")
        if not 0 <= self.token_smoothing < 1:
            raise ConfigError(f"model.token_smoothing={self.token_smoothing} must lie in [0, 1)")
        if not (math.isfinite(self.mining_scale) and self.mining_scale >= 0):
            raise ConfigError(f"model.mining_scale={self.mining_scale} must be 0 or positive")
