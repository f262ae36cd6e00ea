"""How surprising a caption is to a causal language model, with or without its picture.

POINTS (Liu et al. 2024, arXiv 2409.04828, section 3.2): PPL(s) = exp(-1/N sum_i log p(w_i | w_<i)),
N the tokens of the text. The first token is predicted from the begin mark (the end mark where the
tokenizer has no begin mark); the end mark itself is not counted. A model of the suite that writes
captions (``TellsSurprise``) is shown the picture too; a folder of transformers is a text model.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from data_pipelines.bounded_json import read_object
from data_pipelines.shards.manifest import sha256_of
from vlsuite.errors import ConfigError
from vlsuite.models.language.causal_lm import NO_TOKEN, LanguageModel, load_language_model, padded
from vlsuite.models.opening import open_model
from vlsuite.models.scorers.contract import SampleScorer, scorers
from vlsuite.models.shard_batches import SampleBatch

_WEIGHTS = ("*.safetensors", "*.json", "*.model", "merges.txt")


@runtime_checkable
class TellsSurprise(Protocol):
    """A model that is shown a picture and a caption; ``vlsuite.models.coca.model.Coca`` is one."""

    @property
    def fingerprint(self) -> str:
        """Of everything that its figures depend on."""
        ...

    @property
    def image_transform(self) -> Callable[..., Tensor]:
        """Picture to the pixels that it is shown."""
        ...

    def caption_surprise(self, images: Tensor, texts: list[str]) -> Float[Tensor, " batch"]:
        """Nats a token of each caption, given its picture; NaN for one without tokens."""
        ...


@scorers.register("perplexity")
@dataclass(frozen=True, kw_only=True)
class PerplexitySettings:
    """Perplexity of captions.

    Args:
        max_tokens: of a caption that are looked at; the rest is cut.
    """

    max_tokens: int = 256

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ConfigError(f"scorer 'perplexity': max_tokens {self.max_tokens} is below 1")

    def build(self, model: str, *, device: str) -> SampleScorer:
        """See ``ScorerSettings``."""
        if is_language_model(model):
            language = load_language_model(model, context_length=self.max_tokens + 2)
            language.model.to(device)
            return TextPerplexity(
                language,
                fingerprint=folder_digest(Path(model)),
                max_tokens=self.max_tokens,
                device=device,
            )
        opened = open_model(model, device=device)
        if not isinstance(opened, TellsSurprise):
            raise ConfigError(
                f"--model {model} does not say how likely a caption is; give a folder of a causal "
                "language model as transformers writes it, or a CoCa"
            )
        return PicturePerplexity(opened)


class TextPerplexity:
    """Of a causal language model of transformers; satisfies ``SampleScorer``.

    Args:
        language: on ``device``.
        fingerprint: of its files.
        max_tokens: of a caption.
    """

    image_transform = None
    reads_texts = True

    def __init__(
        self, language: LanguageModel, *, fingerprint: str, max_tokens: int, device: str
    ) -> None:
        self._language = language
        self._max_tokens = max_tokens
        self._device = device
        self.fingerprint = f"perplexity:{max_tokens}:{fingerprint}"

    @torch.inference_mode()
    def scores(self, batch: SampleBatch) -> Float32[np.ndarray, " batch"]:
        """See ``SampleScorer``."""
        tokenizer = self._language.texts
        rows = [[tokenizer.begin, *own[: self._max_tokens]] for own in tokenizer.ids(batch.texts)]
        ids = padded(rows, max(map(len, rows))).to(self._device)
        logits = self._language.model(
            input_ids=ids.clamp_min(0), attention_mask=(ids != NO_TOKEN).long(), use_cache=False
        ).logits
        nats = mean_nats(logits[:, :-1], ids[:, 1:])
        return np.exp(nats.double().cpu().numpy()).astype(np.float32)


class PicturePerplexity:
    """Of a model that is shown the picture too; satisfies ``SampleScorer``.

    Args:
        model: says how surprising captions are.
    """

    reads_texts = True

    def __init__(self, model: TellsSurprise) -> None:
        self._model = model
        self.image_transform = model.image_transform
        self.fingerprint = f"perplexity:{model.fingerprint}"

    @torch.inference_mode()
    def scores(self, batch: SampleBatch) -> Float32[np.ndarray, " batch"]:
        """See ``SampleScorer``."""
        nats = self._model.caption_surprise(torch.stack(batch.pixels), batch.texts)
        return np.exp(nats.double().cpu().numpy()).astype(np.float32)


def mean_nats(
    logits: Float[Tensor, "batch length vocabulary"], labels: Int64[Tensor, "batch length"]
) -> Float[Tensor, " batch"]:
    """Mean cross-entropy of each row's labels, fp32; NaN for a row without any.

    Args:
        labels: ``NO_TOKEN`` where nothing is predicted.
    """
    losses = F.cross_entropy(logits.float().mT, labels, ignore_index=NO_TOKEN, reduction="none")
    return losses.sum(dim=1) / (labels != NO_TOKEN).sum(dim=1)


def is_language_model(name: str) -> bool:
    """Whether a name is the folder of a causal language model of transformers."""
    try:
        told: dict[str, Any] = read_object(Path(name) / "config.json")
    except (OSError, ValueError):
        return False
    kinds = told.get("architectures")
    named = kinds if isinstance(kinds, list) else []
    return any(str(kind).endswith(("ForCausalLM", "LMHeadModel")) for kind in named)


def folder_digest(folder: Path) -> str:
    """SHA-256 of weights, description and tokenizer, in one word."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _WEIGHTS for path in folder.glob(pattern)}):
        digest.update(f"{path.name}:{sha256_of(path)}\n".encode())
    return digest.hexdigest()
