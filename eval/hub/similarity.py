"""How alike two words or phrases are: pluggable, as it steers both matching and choosing.

Registered by name: "characters" needs no model and sees spelling alone, "spacy:MODEL" compares
word vectors. Any other name is an encoder that transformers can load (a folder or a hub id), whose
token states are averaged.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from data_pipelines.component_names import is_known, named
from data_pipelines.registry import Registry
from data_pipelines.texts import listed
from eval.errors import EvaluationError

_PER_PASS = 64


@runtime_checkable
class Similarity(Protocol):
    """Compares texts; equal texts have 1, unlike ones about 0."""

    @property
    def name(self) -> str:
        """What headers call it."""
        ...

    def matrix(
        self, first: Sequence[str], second: Sequence[str]
    ) -> Float[np.ndarray, "first second"]:
        """Cosine of every text with every other, -1 to 1."""
        ...


@runtime_checkable
class Identified(Protocol):
    """A ``Similarity`` that its name alone does not tell from others."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that its numbers depend on; empty where the name says all."""
        ...


def fingerprint_of(similarity: Any) -> str:
    """Its fingerprint; empty where its name has to do."""
    return similarity.fingerprint if isinstance(similarity, Identified) else ""


class CachedVectors:
    """Cosines of vectors that are computed once a text.

    Args:
        name: see ``Similarity``.
        embed: unit vectors of texts it has not seen, one row a text.
        fingerprint: see ``Identified``.
    """

    def __init__(
        self,
        name: str,
        embed: Callable[[list[str]], Float[np.ndarray, "texts width"]],
        *,
        fingerprint: str = "",
    ) -> None:
        self._name = name
        self.fingerprint = fingerprint
        self._embed = embed
        self._vectors: dict[str, np.ndarray] = {}

    @property
    def name(self) -> str:
        """See ``Similarity``."""
        return self._name

    def matrix(
        self, first: Sequence[str], second: Sequence[str]
    ) -> Float[np.ndarray, "first second"]:
        """See ``Similarity``."""
        first, second = listed(first), listed(second)
        if not first or not second:
            return np.zeros((len(first), len(second)))
        unseen = sorted({text for text in (*first, *second) if text not in self._vectors})
        # One text a pass: what a vector is must not depend on what else was asked for.
        for text in unseen:
            self._vectors[text] = self._embed([text])[0].astype(np.float64)
        left = np.stack([self._vectors[text] for text in first])
        right = np.stack([self._vectors[text] for text in second])
        return left @ right.T


#: Similarities by name, each made from what stands behind the colon of its name, if it takes that.
similarities: Registry[Callable[[str], Similarity]] = Registry(
    "similarity of words", package="eval.hub", variable="similarities"
)


def load_similarity(spec: str, *, device: str = "cpu") -> Similarity:
    """The similarity called ``spec``; a name that is not registered is a transformers encoder.

    Raises:
        EvaluationError: the model is missing, or has no vectors.
    """
    if is_known(spec, similarities):
        build, rest = named(spec, similarities)
        return build(rest)
    from eval.hub import loading

    tokenizer, encoder = loading.load_encoder(spec, device=device)
    return CachedVectors(
        spec,
        lambda texts: _encoder_vectors(texts, tokenizer, encoder),
        fingerprint=loading.fingerprint_of(encoder, tokenizer),
    )


@similarities.register("characters")
def _characters(_: str) -> Similarity:
    return CachedVectors("characters", _character_vectors)


@similarities.register("spacy:")
def _spacy(model: str) -> Similarity:
    from eval.hub.loading import load_spacy

    pipeline = load_spacy(model)
    return CachedVectors(
        f"spacy:{model}",
        _spacy_vectors(model, pipeline),
        fingerprint=hashlib.sha256(pipeline.to_bytes()).hexdigest(),
    )


def mean_pooled(
    states: Float[Tensor, "texts tokens width"], mask: Float[Tensor, "texts tokens"]
) -> Float[Tensor, "texts width"]:
    """Unit vectors: the mean of the states of real tokens (Reimers and Gurevych 2019)."""
    total = torch.einsum("ntw,nt->nw", states, mask)
    return torch.nn.functional.normalize(total / mask.sum(1, keepdim=True).clamp(min=1), dim=1)


@torch.no_grad()
def _encoder_vectors(
    texts: list[str], tokenizer: Any, encoder: Any
) -> Float[np.ndarray, "texts width"]:
    parts = []
    for start in range(0, len(texts), _PER_PASS):
        inputs = tokenizer(
            texts[start : start + _PER_PASS],
            padding=True,
            truncation=True,
            max_length=128,
            return_tensors="pt",
        ).to(encoder.device)
        states = encoder(**inputs).last_hidden_state.float()
        parts.append(mean_pooled(states, inputs["attention_mask"].float()).cpu())
    return torch.cat(parts).numpy()


def _spacy_vectors(
    model: str, pipeline: Any
) -> Callable[[list[str]], Float[np.ndarray, "texts width"]]:
    if not pipeline.vocab.vectors.size:
        raise EvaluationError(
            f"spaCy model '{model}' has no word vectors; use one that has (en_core_web_md), "
            "an encoder's folder, or characters"
        )

    def vectors(texts: list[str]) -> np.ndarray:
        rows = np.stack([np.asarray(pipeline.make_doc(text).vector) for text in texts])
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

    return vectors


_WIDTH = 4096


def _character_vectors(texts: list[str]) -> Float[np.ndarray, "texts width"]:
    """Counts of 2 to 4 letters in a row, hashed: spelling, not meaning."""
    rows = np.zeros((len(texts), _WIDTH))
    for row, text in enumerate(texts):
        padded = f"<{text.lower().strip()}>"
        grams = Counter(
            padded[i : i + size] for size in (2, 3, 4) for i in range(len(padded) - size + 1)
        )
        for gram, count in grams.items():
            rows[row, _bucket(gram)] += count
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _bucket(gram: str) -> int:
    digest = hashlib.blake2b(gram.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "little") % _WIDTH
