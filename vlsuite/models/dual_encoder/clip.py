"""A dual encoder as evaluations see it: it embeds pictures and texts."""

import hashlib
import json
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from data_pipelines.texts import listed
from vlsuite.batches.tokenizer import CachedTokenizer
from vlsuite.batches.transforms import channels, eval_transform, normalise
from vlsuite.models.dual_encoder.built import BuiltModel
from vlsuite.models.dual_encoder.towers import Embeddings
from vlsuite.models.identity import TOKENIZER_PROBES, identity, tokenizer_identity

_TEXTS_PER_PASS = 256


class Clip:
    """A contrastive model with its own preprocessing, tokenizer and logit scale.

    Satisfies ``eval.contract.EmbeddingModel``.

    Args:
        name: shown in results.
        built: the model's description, preprocessing and towers.
        tokenizer: texts to token ids.
        encode: runs the towers; ``built.encoder`` itself, or an engine around it.
        logit_scale: multiplier of cosine similarities.
        logit_bias: added to every logit; 0 for softmax models.
        device: where ``encode`` computes.
        dtype: of the images it takes.
    """

    def __init__(
        self,
        name: str,
        built: BuiltModel,
        tokenizer: CachedTokenizer,
        *,
        encode: Callable[[Tensor | None, Tensor | None], Embeddings],
        logit_scale: float,
        logit_bias: float,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.name = name
        self.embed_dim: int = sum(built.embed_parts) or built.model_cfg["embed_dim"]
        self.embed_parts = built.embed_parts
        self.image_transform: Callable[[Image.Image], Tensor] = eval_transform(built.preprocess)
        self.tokenizer = tokenizer
        self.logit_scale = logit_scale
        self.logit_bias = logit_bias
        self.device = device
        self._built = built
        self._identity = ""
        self._encode = encode
        self._dtype = dtype
        self._end_of_text = built.encoder.end_of_text
        self._mean = channels(built.preprocess["mean"], device)
        self._std = channels(built.preprocess["std"], device)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that embeddings depend on; see ``vlsuite.models.identity``."""
        if not self._identity:
            self._identity = identity(
                encoder=self._built.encoder,
                preprocess=self._built.preprocess,
                embed_parts=self.embed_parts,
                dtype=str(self._dtype),
                tokenizer=tokenizer_identity(self.tokenizer.base, self.tokenizer),
            )
        return self._identity

    def weights_digest(self) -> str:
        """What told models apart before there were identities: weights and preprocessing.

        Files of concepts and trained models that carry it are still read.
        """
        digest = hashlib.sha256(json.dumps(self._built.preprocess, sort_keys=True).encode())
        digest.update(str(self._dtype).encode())
        digest.update(self.tokenizer(TOKENIZER_PROBES).numpy().tobytes())
        for name, weights in sorted(self._built.encoder.state_dict().items()):
            digest.update(name.encode())
            digest.update(weights.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

    def embed_pixels(
        self, pixels: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch embed_dim"]:
        """Unit-norm fp32 embeddings of pictures in [0, 1], normalised here, with gradients."""
        normalised = ((pixels - self._mean) / self._std).to(self._dtype)
        embeds = self._encode(normalised, None).image_embeds
        assert embeds is not None
        return embeds

    @torch.no_grad()
    def embed_images(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch embed_dim"]:
        """Unit-norm fp32 embeddings of pictures from ``image_transform``, on the device."""
        moved = images.to(self.device, non_blocking=True)
        pixels = normalise(moved, mean=self._mean, std=self._std, dtype=self._dtype)
        embeds = self._encode(pixels, None).image_embeds
        assert embeds is not None
        return embeds

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Float[Tensor, "texts embed_dim"]:
        """Unit-norm fp32 embeddings of texts, on the device; of one text, one row.

        Texts of equal length go through together, so that little of a pass is padding.
        """
        texts = listed(texts)
        if not texts:
            return torch.zeros(0, self.embed_dim, device=self.device)
        token_ids = self.tokenizer(texts)
        end = self._end_of_text
        order = torch.arange(len(texts))
        if end is not None:
            order = torch.argsort(end.places(token_ids), stable=True)
        parts = []
        for rows in order.split(_TEXTS_PER_PASS):
            own = token_ids[rows]
            if end is not None:
                own = end.cut(own, multiple=1)
            embeds = self._encode(None, own.to(self.device)).text_embeds
            assert embeds is not None
            parts.append(embeds)
        return torch.cat(parts)[torch.argsort(order).to(self.device)]


def unscaled(built: BuiltModel) -> Clip:
    """The model on the CPU, for its embeddings alone: scale 1, no bias."""
    return Clip(
        built.name,
        built,
        built.tokenizer,
        encode=built.encoder,
        logit_scale=1.0,
        logit_bias=0.0,
        device=torch.device("cpu"),
    )
