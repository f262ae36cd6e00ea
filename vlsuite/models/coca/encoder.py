"""CoCa: two towers that embed, and a decoder that writes captions from what both say.

Yu et al. 2022, arXiv 2205.01917, in open_clip's form (``open_clip.coca_model``): the text tower is
causal, a class token at its end is the text's embedding, and the decoder attends to the states of
the other tokens and, by cross-attention, to the image tower's tokens.

b = batch, l = caption tokens, n = image tokens
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from vlsuite.models.dual_encoder.towers import DualEncoder, Embeddings


class CocaOutput(NamedTuple):
    """What the objective needs of this rank's pairs.

    Attributes:
        image_embeds, text_embeds: unit norm, fp32.
        caption_nats: of each caption's tokens together, given the picture, fp32; None where only
            embeddings were asked for.
    """

    image_embeds: Float[Tensor, "batch embed_dim"]
    text_embeds: Float[Tensor, "batch embed_dim"]
    caption_nats: Float[Tensor, " batch"] | None


class CocaEncoder(DualEncoder):
    """open_clip's CoCa without its logit scale, which belongs to the objective.

    Parameters have open_clip's names ("visual.*", "text.*", "text_decoder.*").

    Args:
        visual: maps images to (features [b, d], tokens [b, n, width]).
        text: maps token ids to (features [b, d], states [b, l, width]); causal.
        text_decoder: maps image tokens and states to logits [b, l, vocabulary].
    """

    def __init__(self, visual: nn.Module, text: nn.Module, text_decoder: nn.Module) -> None:
        super().__init__(visual, text)
        self.text_decoder = text_decoder
        self.writes = True

    @property
    def pad_id(self) -> int:
        """The token that is no label; open_clip's tokenizers fill up with it."""
        return int(self.text.pad_id)  # type: ignore[arg-type]

    def use_decoder(self, wanted: bool) -> None:
        """Whether the decoder takes part in training; else its weights stay as they are."""
        self.writes = wanted
        self.text_decoder.requires_grad_(wanted)

    def forward(
        self,
        images: Float[Tensor, "batch channels height width"] | None = None,
        token_ids: Int[Tensor, "batch length"] | None = None,
        *,
        caption_length: int = 0,
    ) -> Any:
        """Embed either side or both, and score the captions.

        Args:
            caption_length: tokens of the longest caption, begin and end mark included; the decoder
                does not compute what comes after. 0 leaves it out.
        Returns:
            ``Embeddings``, or ``CocaOutput`` where ``caption_length`` is given.
        """
        image_embeds = text_embeds = None
        tokens = states = None
        if images is not None:
            features, tokens = self.visual(images)
            image_embeds = F.normalize(features.float(), dim=-1)
        if token_ids is not None:
            features, states = self.text(token_ids)
            text_embeds = F.normalize(features.float(), dim=-1)
        if not caption_length:
            return Embeddings(image_embeds, text_embeds)
        assert image_embeds is not None
        assert text_embeds is not None
        assert token_ids is not None
        assert states is not None
        logits = self.text_decoder(tokens, states[:, : caption_length - 1])
        labels = token_ids[:, 1:caption_length]
        return CocaOutput(
            image_embeds, text_embeds, caption_nats(logits, labels, pad_id=self.pad_id)
        )

    def image_tokens(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch tokens token_width"]:
        """What the decoder is shown of pictures."""
        return self.visual(images)[1]

    def next_logits(
        self,
        image_tokens: Float[Tensor, "batch tokens token_width"],
        token_ids: Int[Tensor, "batch length"],
    ) -> Float[Tensor, "batch vocabulary"]:
        """Logits of the token that follows on each row, fp32; no row may hold padding."""
        states = self.text(token_ids)[1]
        return self.text_decoder(image_tokens, states)[:, -1].float()


def caption_nats(
    logits: Float[Tensor, "batch length vocabulary"],
    labels: Int[Tensor, "batch length"],
    *,
    pad_id: int,
) -> Float[Tensor, " batch"]:
    """Cross-entropy of each row's labels, summed: -sum_t log p(y_t | y_<t, x).

    Yu et al. 2022, arXiv 2205.01917, section 3; padding is no label, the end mark is one.

    Args:
        logits: at each place those of the label at the same place.
        labels: the tokens one place further on.
        pad_id: of padding.
    Returns:
        Nats a row, fp32; 0 for a row without labels.
    """
    # the class axis second, as cross_entropy wants it
    losses = F.cross_entropy(logits.float().mT, labels, ignore_index=pad_id, reduction="none")
    return losses.sum(dim=1)


@torch.no_grad()
def initialise_decoder(text_decoder: Any) -> None:
    """Draw the output matrix, which open_clip 3.3 leaves as uninitialised memory.

    ``MultimodalTransformer`` allocates ``text_projection`` with ``torch.empty`` and never calls its
    ``init_parameters``, which could not run either; the spread is the one written there. All other
    weights have torch's defaults, as in open_clip.
    """
    width = text_decoder.text_projection.shape[0]
    nn.init.normal_(text_decoder.text_projection, std=width**-0.5)
