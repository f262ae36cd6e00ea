"""How well picture and caption agree: the cosine of a dual encoder.

CLIPScore (Hessel et al. 2021, arXiv 2104.08718) without its factor and its cut at 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from vlsuite.models.embedding import PairEmbedder
from vlsuite.models.scorers.contract import scorers
from vlsuite.models.scorers.dual_encoder import opened_dual_encoder
from vlsuite.models.shard_batches import SampleBatch


@scorers.register("clip")
@dataclass(frozen=True, kw_only=True)
class CosineSettings:
    """The cosine of picture and caption; it has no settings."""

    def build(self, model: str, *, device: str) -> "CosineScorer":
        """See ``ScorerSettings``."""
        return CosineScorer(opened_dual_encoder(model, device=device))


class CosineScorer:
    """Satisfies ``SampleScorer``.

    Args:
        model: embeds pictures and texts.
    """

    reads_texts = True

    def __init__(self, model: PairEmbedder) -> None:
        self._model = model

    @property
    def fingerprint(self) -> str:
        """The model's."""
        return self._model.fingerprint

    @property
    def image_transform(self) -> Callable[..., Tensor]:
        """The model's."""
        return self._model.image_transform

    @torch.inference_mode()
    def scores(self, batch: SampleBatch) -> Float32[np.ndarray, " batch"]:
        """See ``SampleScorer``."""
        images = self._model.embed_images(torch.stack(batch.pixels)).float().cpu()
        texts = self._model.embed_texts(batch.texts).float().cpu()
        return (images * texts).sum(dim=1).numpy().astype(np.float32)
