"""How far a sentence is from its picture: d = 1 - cosine, by any contrastive model.

The model that measures is the *scorer*. Whether it is also the model that is later tested (the
*victim*) decides whether an attack is white-box; files therefore carry its fingerprint.
"""

import warnings
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float

from eval.contract import EmbeddingModel
from eval.xmai.specs import PREFIX
from vlsuite.batches.decode import decode_image
from vlsuite.errors import BadSampleError

_PICTURES_PER_PASS = 64


@runtime_checkable
class CrossModal(Protocol):
    """Compares pictures with sentences."""

    @property
    def name(self) -> str:
        """What headers call it."""
        ...

    @property
    def fingerprint(self) -> str:
        """See ``EmbeddingModel``."""
        ...

    def picture_embeds(
        self, pictures: Sequence[bytes]
    ) -> tuple[Float[np.ndarray, "pictures embed_dim"], list[bool]]:
        """Unit vectors, and whether each picture could be decoded."""
        ...

    def cosines(
        self,
        picture_embeds: Float[np.ndarray, "pictures embed_dim"],
        rows: Sequence[int],
        sentences: Sequence[str],
    ) -> Float[np.ndarray, " sentences"]:
        """Of each sentence with the picture in its row."""
        ...


class ClipScorer:
    """A scorer around any ``EmbeddingModel``.

    Args:
        model: embeds pictures and texts.
        prefix: put before every sentence; the published one is "This is ".
    """

    def __init__(self, model: EmbeddingModel, *, prefix: str = PREFIX) -> None:
        self._model = model
        self._prefix = prefix
        self.name = model.name
        self.fingerprint = model.fingerprint

    def picture_embeds(
        self, pictures: Sequence[bytes]
    ) -> tuple[Float[np.ndarray, "pictures embed_dim"], list[bool]]:
        """See ``CrossModal``."""
        return embed_pictures(self._model, pictures)

    def cosines(
        self,
        picture_embeds: Float[np.ndarray, "pictures embed_dim"],
        rows: Sequence[int],
        sentences: Sequence[str],
    ) -> Float[np.ndarray, " sentences"]:
        """See ``CrossModal``; equal sentences are embedded once, in an order of their own."""
        if not sentences:
            return np.zeros(0)
        distinct = sorted(set(sentences), key=lambda text: (len(text), text))
        column = {text: i for i, text in enumerate(distinct)}
        with warnings.catch_warnings():
            # long captions are cut to the context length, which is the model's business
            warnings.simplefilter("ignore")
            embeds = self._model.embed_texts([self._prefix + text for text in distinct])
        texts = embeds.detach().cpu().numpy().astype(np.float64)
        own = texts[[column[text] for text in sentences]]
        return (picture_embeds[list(rows)] * own).sum(axis=1)


def embed_pictures(
    model: EmbeddingModel, pictures: Sequence[bytes]
) -> tuple[Float[np.ndarray, "pictures embed_dim"], list[bool]]:
    """Unit vectors in float64; zeros and False where a picture cannot be decoded."""
    embeds = np.zeros((len(pictures), model.embed_dim))
    is_good = [False] * len(pictures)
    pixels, rows = [], []
    for row, picture in enumerate(pictures):
        try:
            pixels.append(model.image_transform(decode_image(picture)))
        except BadSampleError:
            continue
        rows.append(row)
        is_good[row] = True
    for start in range(0, len(rows), _PICTURES_PER_PASS):
        stacked = torch.stack(pixels[start : start + _PICTURES_PER_PASS])
        own = model.embed_images(stacked).detach().float().cpu().numpy()
        embeds[rows[start : start + _PICTURES_PER_PASS]] = own
    return embeds, is_good
