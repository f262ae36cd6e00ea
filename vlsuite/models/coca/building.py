"""Which CoCa architectures can be built, and open_clip's model as a ``CocaEncoder``."""

from collections.abc import Mapping
from typing import Any

import torch

from vlsuite.errors import ModelError
from vlsuite.models.coca.encoder import CocaEncoder, initialise_decoder

#: Marks a CoCa in open_clip's descriptions: the settings of its text decoder.
DECODER = "multimodal_cfg"


def check_writes_forward(name: str, model_cfg: Mapping[str, Any]) -> None:
    """Refuse a CoCa whose decoder could read the word that it is to predict.

    open_clip's ``coca_roberta-ViT-B-32`` joins a decoder to RoBERTa, whose states have seen the
    whole caption, and predicts 50,265 tokens with 49,408 logits.

    Raises:
        ModelError: the text tower reads in both directions.
    """
    text_cfg = model_cfg["text_cfg"]
    tower = text_cfg.get("hf_model_name")
    if tower or text_cfg.get("no_causal_mask"):
        raise ModelError(
            f"'{name}' cannot be used: its text tower ({tower or 'no_causal_mask'}) reads captions "
            "in both directions, so its decoder would see the word that it is to predict; choose "
            "coca_ViT-B-32, coca_ViT-L-14 or coca_base"
        )


def decoder_override(model_cfg: Mapping[str, Any], *, context_length: int | None) -> dict[str, Any]:
    """The decoder's settings for another longest caption, which open_clip sets in the text tower.

    Args:
        context_length: asked for; None keeps the architecture's own.
    """
    if DECODER not in model_cfg or context_length is None:
        return {}
    return {DECODER: {**model_cfg[DECODER], "context_length": context_length}}


def coca_encoder(name: str, model: Any, *, size: tuple[int, int], loaded: bool) -> CocaEncoder:
    """The parts of open_clip's CoCa.

    Args:
        name: for messages.
        model: ``open_clip.CoCa``.
        size: height and width of its pictures, pixels.
        loaded: whether it holds weights of its own.
    Raises:
        ModelError: its parts do not fit together.
    """
    encoder = CocaEncoder(model.visual, model.text, model.text_decoder)
    if not loaded:
        initialise_decoder(model.text_decoder)
    _try_out(name, encoder, size)
    return encoder


@torch.no_grad()
def _try_out(name: str, encoder: CocaEncoder, size: tuple[int, int]) -> None:
    """Show it a black picture and the longest caption."""
    was_training = encoder.training
    encoder.eval()
    length = int(encoder.text.context_length)  # type: ignore[arg-type]
    token_ids = torch.full((1, length), encoder.pad_id + 1)
    try:
        encoder(torch.zeros(1, 3, *size), token_ids, caption_length=length)
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise ModelError(
            f"the parts of the CoCa '{name}' do not fit together "
            f"({' '.join(str(error).split())[:200]}); vision_cfg and text_cfg need output_tokens, "
            "and multimodal_cfg the width of both and the context_length of text_cfg"
        ) from error
    finally:
        encoder.train(was_training)
