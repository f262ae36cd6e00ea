"""A dual encoder of transformers as evaluations see it."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from data_pipelines.texts import listed
from vlsuite.batches.transforms import channels, normalise
from vlsuite.errors import ModelError
from vlsuite.models.identity import identity, tokenizer_identity

_TEXTS_PER_PASS = 256


class HuggingFaceClip:
    """A CLIP or SigLIP of transformers, with its own preparation of pictures and texts.

    Satisfies ``eval.contract.EmbeddingModel``.

    Args:
        name: shown in results.
        module: ``CLIPModel`` or ``SiglipModel``, on the device, in evaluation mode.
        pictures: its image processor, the one that computes with Pillow.
        tokenizer: of the same folder.
        context_length: tokens, at most.
        pads_to_the_end: whether texts are padded to the context length, as SigLIP was trained.
        device: where the weights are.
    Raises:
        ModelError: pictures are prepared in a way that cannot be kept as pixels of one byte.
    """

    def __init__(
        self,
        name: str,
        module: Any,
        *,
        pictures: Any,
        tokenizer: Any,
        context_length: int,
        pads_to_the_end: bool,
        device: torch.device,
    ) -> None:
        self.name = name
        self.device = device
        self.tokenizer = tokenizer
        self._module, self._pictures = module, pictures
        self._context_length, self._pads_to_the_end = context_length, pads_to_the_end
        mean, std = _normalisation(name, pictures)
        self._mean, self._std = channels(mean, device), channels(std, device)
        self.logit_scale = float(module.logit_scale.detach().exp())
        bias = getattr(module, "logit_bias", None)
        self.logit_bias = 0.0 if bias is None else float(bias.detach())
        self.embed_dim: int = self.embed_texts(["a"]).shape[1]
        self._identity = ""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that embeddings depend on; see ``vlsuite.models.identity``."""
        if not self._identity:
            self._identity = identity(
                module=self._module,
                pictures=self._pictures.to_dict(),
                context_length=self._context_length,
                pads_to_the_end=self._pads_to_the_end,
                tokenizer=tokenizer_identity(self.tokenizer, self._ids_of),
            )
        return self._identity

    def image_transform(self, image: Image.Image) -> UInt8[Tensor, "3 height width"]:
        """Resize and crop an RGB picture as transformers does."""
        made = self._pictures(
            images=image, do_rescale=False, do_normalize=False, return_tensors="pt"
        )
        return made["pixel_values"][0].round().clamp(0, 255).to(torch.uint8)

    @torch.no_grad()
    def embed_images(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch embed_dim"]:
        """Unit-norm fp32 embeddings of pictures from ``image_transform``, on the device."""
        pixels = normalise(
            images.to(self.device), mean=self._mean, std=self._std, dtype=torch.float32
        )
        return self._embedded(self._module.get_image_features(pixel_values=pixels))

    def embed_pixels(
        self, pixels: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch embed_dim"]:
        """Unit-norm fp32 embeddings of pictures in [0, 1], normalised here, with gradients."""
        normalised = (pixels - self._mean) / self._std
        return self._embedded(self._module.get_image_features(pixel_values=normalised))

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Float[Tensor, "texts embed_dim"]:
        """Unit-norm fp32 embeddings of texts, on the device."""
        texts = listed(texts)
        parts = [torch.zeros(0, self.embed_dim, device=self.device)] if not texts else []
        for start in range(0, len(texts), _TEXTS_PER_PASS):
            encoded = self._encoded(texts[start : start + _TEXTS_PER_PASS])
            parts.append(self._embedded(self._module.get_text_features(**encoded)))
        return torch.cat(parts)

    def _encoded(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Token ids, and a mask where the tokenizer gives one, as transformers' pipelines do."""
        encoded = self.tokenizer(
            list(texts),
            padding="max_length" if self._pads_to_the_end else True,
            truncation=True,
            max_length=self._context_length,
            return_tensors="pt",
        )
        wanted = ("input_ids", "attention_mask")
        return {key: encoded[key].to(self.device) for key in wanted if key in encoded}

    def _ids_of(self, texts: list[str]) -> Tensor:
        return self._encoded(texts)["input_ids"]

    @staticmethod
    def _embedded(found: Any) -> Tensor:
        """The projected vector, which later versions of transformers put into an object."""
        features = found if isinstance(found, Tensor) else found.pooler_output
        return F.normalize(features.float(), dim=-1)


def _normalisation(name: str, pictures: Any) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and standard deviation of pixels in [0, 1]."""
    if not pictures.do_rescale or abs(pictures.rescale_factor * 255 - 1) > 1e-6:
        raise ModelError(
            f"{name} prepares pictures without dividing by 255 (preprocessor_config.json: "
            f"do_rescale={pictures.do_rescale}, rescale_factor={pictures.rescale_factor}), which "
            "is not supported; set do_rescale to true and rescale_factor to 1/255"
        )
    if not pictures.do_normalize:
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return pictures.image_mean, pictures.image_std
