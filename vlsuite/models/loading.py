"""Any CLIP by name or folder, ready to embed pictures and texts."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from vlsuite.batches.tokenizer import CachedTokenizer, load_tokenizer, trimmed_length
from vlsuite.batches.transforms import eval_transform, normalise
from vlsuite.errors import ModelError
from vlsuite.models.dual_encoder.config import BuiltModel, OpenClipConfig, architecture
from vlsuite.models.dual_encoder.towers import Embeddings
from vlsuite.models.nevlp import config as nevlp_config
from vlsuite.models.nevlp.config import BuiltNevlp

if TYPE_CHECKING:
    from vlsuite.models.nevlp.model import Nevlp

#: What open_clip names the description in a model folder.
DESCRIPTION = "open_clip_config.json"

_TEXTS_PER_PASS = 256
#: Tokenizers with other vocabularies or rules give other ids for these.
TOKENIZER_PROBES = ("a photo of a cat.", "Zwölf Boxkämpfer, 3.14 €: x_y", "日本語 🙂")


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
        self._fingerprint = ""
        self._encode = encode
        self._dtype = dtype
        self._trim = built.encoder.accepts_trimmed_text
        self._mean = channels(built.preprocess["mean"], device)
        self._std = channels(built.preprocess["std"], device)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the weights, the preprocessing and the tokenizer, as hexadecimal digits."""
        if not self._fingerprint:
            self._fingerprint = self._hash()
        return self._fingerprint

    def _hash(self) -> str:
        digest = hashlib.sha256(json.dumps(self._built.preprocess, sort_keys=True).encode())
        digest.update(str(self._dtype).encode())
        digest.update(self.tokenizer(list(TOKENIZER_PROBES)).numpy().tobytes())
        for name, weights in sorted(self._built.encoder.state_dict().items()):
            digest.update(name.encode())
            # as bytes, for NumPy knows no bfloat16
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
        """Unit-norm fp32 embeddings of texts, on the device.

        Texts of equal length go through together, so that little of a pass is padding.
        """
        if not len(texts):
            return torch.zeros(0, self.embed_dim, device=self.device)
        token_ids = self.tokenizer(list(texts))
        order = torch.arange(len(texts))
        if self._trim:
            order = torch.argsort(token_ids.argmax(dim=1), stable=True)
        parts = []
        for rows in order.split(_TEXTS_PER_PASS):
            own = token_ids[rows]
            if self._trim:
                own = own[:, : trimmed_length(own, multiple=1)]
            embeds = self._encode(None, own.to(self.device)).text_embeds
            assert embeds is not None
            parts.append(embeds)
        return torch.cat(parts)[torch.argsort(order).to(self.device)]


def load_clip(spec: str, *, device: str | torch.device = "cpu") -> "Clip | Nevlp":
    """Load a model for evaluation.

    Args:
        spec: one of
            a run folder of ``vlsuite train`` or a folder of ``vlsuite export``, also of a NEVLP
            model, which does more than a CLIP (see ``vlsuite.models.nevlp.model``),
            an open_clip architecture with its weights: "ViT-B-32:laion2b_s34b_b79k",
            "ViT-B-32:/path/weights.safetensors",
            "local-dir:FOLDER" or "hf-hub:ORG/REPO" as open_clip reads them.
        device: "cpu", "cuda", "cuda:1", ...
    Raises:
        ModelError: nothing there, no weights, or weights of another architecture.
        UnknownNameError: no such architecture.
    """
    device = torch.device(device)
    if folder := nevlp_folder(spec):
        built = nevlp_config.build_from_folder(folder)
        tokenizer = built.tokenizer
    else:
        config = config_of(spec)
        built = config.build()
        tokenizer = tokenizer_of(config, built)
    assert built.logit_scale is not None, "both ask for weights"
    return embedding_model(
        spec,
        built,
        tokenizer,
        encode=built.encoder.to(device).eval(),
        logit_scale=built.logit_scale,
        logit_bias=built.logit_bias or 0.0,
        device=device,
    )


def embedding_model(
    name: str,
    built: BuiltModel | BuiltNevlp,
    tokenizer: CachedTokenizer,
    *,
    encode: Any,
    logit_scale: float,
    logit_bias: float,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> "Clip | Nevlp":
    """The model around a built one that evaluations are given; arguments as of :class:`Clip`."""
    if isinstance(built, BuiltNevlp):
        from vlsuite.models.nevlp.model import Nevlp

        return Nevlp(name, built, logit_scale=logit_scale, device=device, dtype=dtype)
    return Clip(
        name,
        built,
        tokenizer,
        encode=encode,
        logit_scale=logit_scale,
        logit_bias=logit_bias,
        device=device,
        dtype=dtype,
    )


def nevlp_folder(spec: str) -> Path | None:
    """The folder of a trained NEVLP model that a spec stands for; None: it is no such model."""
    for folder in (Path(spec) / "export", Path(spec)):
        if (folder / nevlp_config.DESCRIPTION).is_file():
            return folder
    return None


def config_of(spec: str) -> OpenClipConfig:
    """The model config a spec of :func:`load_clip` stands for.

    Raises:
        ModelError: a folder without a model, or an architecture without weights.
    """
    path = Path(spec)
    if path.is_dir():
        for folder in (path / "export", path):
            if (folder / DESCRIPTION).is_file():
                return OpenClipConfig(name=f"local-dir:{folder}")
        raise ModelError(
            f"no model in {path} (looked for {DESCRIPTION} there and in export/); "
            f"'vlsuite export {spec}' writes one from the newest checkpoint of a run"
        )
    if spec.startswith(("local-dir:", "hf-hub:")):
        return OpenClipConfig(name=spec)
    name, colon, pretrained = spec.partition(":")
    if "/" in name and not colon:
        raise ModelError(f"no such folder: {spec}; give a run folder, or ARCHITECTURE:WEIGHTS")
    architecture(name)
    if not pretrained:
        raise ModelError(
            f"'{name}' has no weights; name them as {name}:TAG or {name}:/path/to/weights "
            f"(tags: {', '.join(_tags(name)) or 'none published'})"
        )
    return OpenClipConfig(name=name, pretrained=pretrained)


def tokenizer_of(config: Any, built: BuiltModel | BuiltNevlp) -> CachedTokenizer:
    """The tokenizer that belongs to a built model."""
    if isinstance(built, BuiltNevlp):
        return built.tokenizer
    length = built.model_cfg["text_cfg"].get("context_length", 77)
    return load_tokenizer(config.name, context_length=length, folder=built.tokenizer_folder)


def channels(values: Any, device: torch.device) -> Float[Tensor, "3 1 1"]:
    """Per-channel constants in the shape that broadcasts over pictures."""
    return torch.tensor(values, dtype=torch.float32, device=device).reshape(3, 1, 1)


def _tags(name: str) -> list[str]:
    import open_clip

    return open_clip.list_pretrained_tags_by_model(name)[:6]
