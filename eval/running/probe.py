"""A few numbers that tell one state of a model from another, by what the model can do."""

import hashlib
import json
from collections.abc import Callable

import numpy as np
import torch

from eval.contract import (
    Answerer,
    Captioner,
    EmbeddingModel,
    Instructed,
    Model,
    PictureModel,
)
from eval.embedding.decode import probe_image
from eval.errors import EvaluationError

_TEXT = "a photo of a cat."
_QUESTION = "what is in the picture?"
_MAX_TOKENS = 16
_COORDINATES = 8
_BYTES = 4  # of the digest, in each number


def probe_model(model: Model) -> tuple[float, ...]:
    """What the model makes of a fixed picture; equal weights and preprocessing give equal numbers.

    Cheaper than hashing the weights, and it also covers preprocessing and tokenizer. The first
    coordinates of a fixed picture's and a fixed text's embedding where the model embeds; else
    eight numbers in [0, 1) from the SHA-256 of what it writes about the picture; else from its
    fingerprint. Models that are asked in words are not asked: answers may cost money.

    Raises:
        EvaluationError: the embedding is not finite.
    """
    if isinstance(model, EmbeddingModel):
        return _coordinates(model)
    if isinstance(model, Instructed):
        return _of_text(f"{model.fingerprint}\0{model.wording}")
    if isinstance(model, Captioner):
        return _of_text(_written(model, lambda p: model.caption(p, max_tokens=_MAX_TOKENS)))
    if isinstance(model, Answerer):
        return _of_text(
            _written(model, lambda p: model.answer(p, [_QUESTION], max_tokens=_MAX_TOKENS))
        )
    return _of_text(model.fingerprint)


def _coordinates(model: EmbeddingModel) -> tuple[float, ...]:
    pixels = model.image_transform(probe_image())[None]
    with torch.no_grad():
        image_embed = model.embed_images(pixels.to(model.device))[0]
        text_embed = model.embed_texts([_TEXT])[0]
    coordinates = [
        coordinate
        for embed in (image_embed, text_embed)
        for coordinate in embed[:_COORDINATES].float().cpu().tolist()
    ]
    if not np.isfinite(coordinates).all():
        raise EvaluationError(
            f"model {model.name} gives NaN or infinity for a plain picture and text; "
            "check its weights, or evaluate in fp32"
        )
    return tuple(round(coordinate, 6) for coordinate in coordinates)


def _written(model: PictureModel, write: Callable[[torch.Tensor], list[str]]) -> str:
    pixels = model.image_transform(probe_image())[None]
    with torch.no_grad():
        return json.dumps(write(pixels.to(model.device)))


def _of_text(text: str) -> tuple[float, ...]:
    digest = hashlib.sha256(text.encode()).digest()
    parts = [digest[i : i + _BYTES] for i in range(0, _COORDINATES * _BYTES, _BYTES)]
    return tuple(round(int.from_bytes(part, "big") / 256**_BYTES, 6) for part in parts)
