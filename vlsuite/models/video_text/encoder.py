"""The two towers of a model of videos and texts.

c = clips, t = frames of all clips, l = token ids of a text, d = embed_dim
"""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from vlsuite.models.dual_encoder.towers import DualEncoder, Embeddings


class VideoTextEncoder(DualEncoder):
    """A dual encoder whose image tower takes clips."""

    def forward(  # type: ignore[override]
        self,
        images: Float[Tensor, "total_frames 3 height width"] | None = None,
        token_ids: Int[Tensor, "texts length"] | None = None,
        *,
        num_frames: Sequence[int] | None = None,
    ) -> Embeddings:
        """Embed either side or both, unit-norm in fp32.

        Args:
            images: normalised frames of all clips, one clip after the other.
            token_ids: of texts.
            num_frames: of each clip; None: each is one frame, an image.
        """
        image_embeds = text_embeds = None
        if images is not None:
            features = self.visual(images, num_frames)
            image_embeds = F.normalize(features.float(), dim=-1)
        if token_ids is not None:
            text_embeds = F.normalize(self.text(token_ids).float(), dim=-1)
        return Embeddings(image_embeds, text_embeds)
