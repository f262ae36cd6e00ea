"""STORM's two towers: clips, with a choice of how many tokens are kept, and texts."""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from vlsuite.models.dual_encoder.towers import Embeddings
from vlsuite.models.storm.reduction import Reduction
from vlsuite.models.video_text.encoder import VideoTextEncoder


class StormEncoder(VideoTextEncoder):
    """A ``StormTower`` and a text tower."""

    def forward(  # type: ignore[override]
        self,
        images: Float[Tensor, "total_frames 3 height width"] | None = None,
        token_ids: Int[Tensor, "texts length"] | None = None,
        *,
        num_frames: Sequence[int] | None = None,
        reduction: Reduction | None = None,
    ) -> Embeddings:
        """See ``VideoTextEncoder``.

        Args:
            reduction: of the tokens, instead of the tower's own.
        """
        texts = super().forward(None, token_ids)
        if images is None:
            return texts
        features = self.visual(images, num_frames, reduction)
        return Embeddings(F.normalize(features.float(), dim=-1), texts.text_embeds)
