"""Regions named by embeddings of names, beside a learned background.

Gu et al. 2022, arXiv 2104.13921, ViLD-text: z(r) = [sim(r, e_bg), sim(r, t_1), ..., sim(r, t_C)].

n = regions, C = names, D = length of an embedding
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlsuite.models.vild.region_heads import unit
from vlsuite.models.vild.settings import ClassifierSettings


class TextClassifier(nn.Module):
    """Cosines with the embeddings of a vocabulary, divided by a temperature.

    The vocabulary is no weight: :meth:`set_vocabulary` changes it at any time, and it stays fp32
    whatever the network computes in.

    Args:
        class_embeds: unit L2 norm.
        is_labelled: whether a name has labels in training.
    """

    class_embeds: Tensor
    is_labelled: Tensor

    def __init__(
        self,
        class_embeds: Float[Tensor, "C D"],
        is_labelled: Bool[Tensor, " C"],
        settings: ClassifierSettings,
    ) -> None:
        super().__init__()
        self._settings = settings
        self.background = nn.Parameter(torch.randn(class_embeds.shape[1]) * 0.01)
        self.register_buffer("class_embeds", class_embeds.clone(), persistent=False)
        self.register_buffer("is_labelled", is_labelled.clone(), persistent=False)

    def set_vocabulary(
        self, class_embeds: Float[Tensor, "C D"], is_labelled: Bool[Tensor, " C"]
    ) -> None:
        """Name regions by other names from now on.

        Args:
            class_embeds: unit L2 norm.
            is_labelled: whether a name has labels in training.
        """
        device = self.class_embeds.device
        self.class_embeds = class_embeds.to(device, torch.float32)
        self.is_labelled = is_labelled.to(device)

    def forward(self, region_embeds: Float[Tensor, "n D"]) -> Float[Tensor, "n columns"]:
        """Logits for training, background first, fp32.

        Args:
            region_embeds: unit L2 norm.
        """
        settings = self._settings
        names = region_embeds.float() @ self.class_embeds.mT / settings.temperature
        if settings.unlabelled == "neg_inf":
            names = names.masked_fill(~self.is_labelled, -torch.inf)
        else:
            names = names * self.is_labelled
        background = region_embeds.float() @ self.background_embed[:, None] / settings.temperature
        return torch.cat([background, names], dim=1)

    @property
    def background_embed(self) -> Float[Tensor, " D"]:
        """What regions without an object look like, unit norm, fp32."""
        return unit(self.background[None])[0]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Moves to a device, but no change of type, reach the vocabulary."""
        kept = self.class_embeds
        super()._apply(fn, recurse)
        self.class_embeds = kept.to(self.class_embeds.device)
        return self
