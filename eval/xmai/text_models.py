"""Models that compare texts or say how likely they are, loaded from folders or by name.

Sentence vectors are means of token vectors (Reimers and Gurevych 2019, arXiv 1908.10084); a
stored pooling of another kind is refused. BERTScore takes one layer of any encoder, the last by
default. Perplexity of a masked model is the pseudo-perplexity of Salazar et al. 2020
(arXiv 1910.14659): each token is hidden in turn. Special tokens count in no figure.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import einsum, repeat
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from data_pipelines.bounded_json import read_object
from eval.errors import EvaluationError
from eval.hub.loading import load_encoder, load_masked_lm
from eval.metrics.greedy_matching import greedy_matching
from vlsuite.models.quiet_loading import quiet_loading
from vlsuite.models.sizes import check_model_folder

_TEXTS_AT_A_TIME = 64


class Encoder:
    """Token vectors of texts by any Hugging Face encoder.

    Args:
        spec: folder or name on the hub.
        device: where it computes.
        layer: of the hidden states; -1 is the last.
    Raises:
        EvaluationError: no such model, or one that pools in another way.
    """

    def __init__(self, spec: str, *, device: str = "cpu", layer: int = -1) -> None:
        _refuse_other_pooling(spec)
        self.name = spec
        self._tokenizer, self._model = load_encoder(spec, device=device)
        self._layer = layer
        self._device = device

    def sentence_cosines(
        self, first: Sequence[str], second: Sequence[str]
    ) -> Float64[np.ndarray, " texts"]:
        """Cosine of the mean token vectors of each pair; special tokens are in the mean, as usual.

        Equal texts get exactly 1.
        """
        one, other = self._sentences(first), self._sentences(second)
        cosines = einsum(one, other, "texts d, texts d -> texts").double().cpu().numpy()
        equal = np.array([a == b for a, b in zip(first, second, strict=True)], dtype=bool)
        return np.where(equal, 1.0, cosines)

    def bert_scores(
        self, candidates: Sequence[str], references: Sequence[str]
    ) -> Float64[np.ndarray, " texts"]:
        """F1 of BERTScore of each candidate; NaN where a text has no tokens."""
        parts = []
        for start in range(0, len(candidates), _TEXTS_AT_A_TIME):
            span = slice(start, start + _TEXTS_AT_A_TIME)
            one, is_one, _ = self._tokens(candidates[span])
            other, is_other, _ = self._tokens(references[span])
            parts.append(greedy_matching(one, other, is_one, is_other).f1.double().cpu().numpy())
        return np.concatenate(parts) if parts else np.zeros(0)

    def _sentences(self, texts: Sequence[str]) -> Float[Tensor, "texts embed_dim"]:
        parts = []
        for start in range(0, len(texts), _TEXTS_AT_A_TIME):
            vectors, _, is_token = self._tokens(texts[start : start + _TEXTS_AT_A_TIME])
            sums = (vectors * is_token[:, :, None]).sum(dim=1)
            parts.append(torch.nn.functional.normalize(sums, dim=-1))
        return torch.cat(parts)

    @torch.no_grad()
    def _tokens(
        self, texts: Sequence[str]
    ) -> tuple[
        Float[Tensor, "texts tokens embed_dim"],
        Bool[Tensor, "texts tokens"],
        Bool[Tensor, "texts tokens"],
    ]:
        """Vectors; which tokens are words; which are tokens at all."""
        batch = self._tokenizer(
            list(texts), return_tensors="pt", padding=True, truncation=True,
            return_special_tokens_mask=True,
        )  # fmt: skip
        special = batch.pop("special_tokens_mask").bool().to(self._device)
        batch = batch.to(self._device)
        output = self._model(**batch, output_hidden_states=True)
        is_token = batch["attention_mask"].bool()
        return output.hidden_states[self._layer].float(), is_token & ~special, is_token


class LanguageModel:
    """Mean surprise of texts by a causal or masked language model.

    Args:
        spec: folder or name on the hub; its config says which kind it is.
        device: where it computes.
    Raises:
        EvaluationError: no such model.
    """

    def __init__(self, spec: str, *, device: str = "cpu") -> None:
        self.name = spec
        self.is_masked = _is_masked(spec)
        load = load_masked_lm if self.is_masked else _load_causal
        self._tokenizer, self._model = load(spec, device=device)
        self._device = device

    def surprises(self, texts: Sequence[str]) -> Float64[np.ndarray, " texts"]:
        """Nats per token of each text; NaN for a text without a token to predict."""
        score = self._masked if self.is_masked else self._causal
        known = {text: score(text) for text in dict.fromkeys(texts)}
        return np.array([known[text] for text in texts])

    @torch.no_grad()
    def _causal(self, text: str) -> float:
        """The first token is predicted from the beginning-of-text token, where there is one."""
        ids = self._tokenizer(text, truncation=True)["input_ids"]
        start = self._tokenizer.bos_token_id
        if start is not None and (not ids or ids[0] != start):
            ids = [start, *ids]
        if len(ids) < 2:
            return float("nan")
        tokens = torch.tensor([ids], device=self._device)
        logits = self._model(tokens).logits[0, :-1].float()
        return float(torch.nn.functional.cross_entropy(logits, tokens[0, 1:]))

    @torch.no_grad()
    def _masked(self, text: str) -> float:
        batch = self._tokenizer(
            text, return_tensors="pt", truncation=True, return_special_tokens_mask=True
        )
        places = torch.nonzero(batch.pop("special_tokens_mask")[0] == 0).flatten()
        if not len(places):
            return float("nan")
        ids = batch["input_ids"][0].to(self._device)
        losses = []
        for part in places.to(self._device).split(_TEXTS_AT_A_TIME):
            hidden = repeat(ids, "tokens -> places tokens", places=len(part)).clone()
            hidden[torch.arange(len(part)), part] = self._tokenizer.mask_token_id
            logits = self._model(hidden).logits[torch.arange(len(part)), part].float()
            losses.append(torch.nn.functional.cross_entropy(logits, ids[part], reduction="none"))
        return float(torch.cat(losses).mean())


def _load_causal(spec: str, *, device: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    check_model_folder(spec)
    try:
        tokenizer = AutoTokenizer.from_pretrained(spec)
        with quiet_loading():
            model: Any = AutoModelForCausalLM.from_pretrained(spec, use_safetensors=True)
    except Exception as error:  # transformers raises all kinds for a folder of unknown make
        raise EvaluationError(_no_model(spec, error)) from error
    return tokenizer, model.to(device).eval()


def _is_masked(spec: str) -> bool:
    from transformers import AutoConfig

    check_model_folder(spec)
    try:
        architectures = AutoConfig.from_pretrained(spec).architectures or []
    except Exception as error:  # likewise
        raise EvaluationError(_no_model(spec, error)) from error
    return any("MaskedLM" in name or name == "BertForPreTraining" for name in architectures)


def _no_model(spec: str, error: Exception) -> str:
    reason = " ".join(str(error).split())[:160]
    return (
        f"no language model '{spec}' here: give a folder with config.json, model.safetensors and "
        f"the tokenizer's files; where there is a network 'hf download {spec}' gets one ({reason})"
    )


def _refuse_other_pooling(spec: str) -> None:
    """Sentence encoders say how they pool; anything but the mean would give other figures."""
    path = Path(spec) / "1_Pooling" / "config.json"
    if not path.is_file():
        return
    try:
        pooling = read_object(path)
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{path} is no JSON ({error}); fetch the model anew") from error
    if not pooling.get("pooling_mode_mean_tokens", True):
        raise EvaluationError(
            f"{spec} does not pool its sentences by the mean; give an encoder that does, such as "
            "sentence-transformers/all-MiniLM-L6-v2"
        )
