"""The published attribute insertion with its faults, to compare with; never a default.

Facts about behaviour: the repository of arXiv 2306.11065 at decde90; written anew. Kept, by the
numbers that ``--compat upstream`` is documented with:

1. a chosen word is not written into what the language model reads: earlier masks stay masks;
2. the scorer reads candidates in which later masks are still there;
3. the sentence has empty strings for boundaries, which the model takes for unknown tokens;
4. of the special tokens "[UNK]" alone is refused: pieces of words and masks can be inserted;
5. repeated objects of several words lose their attributes (``upstream_matching``);
6. where fewer than k candidates survive, zeros take part in the scaling of p.

The text is cut into tokens and glued, so what comes out is often no pure insertion; records then
have no insertions.
"""

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from eval.hub.similarity import Similarity
from eval.xmai.matching import Nouns
from eval.xmai.objective import Weights
from eval.xmai.upstream.matching import MASK, mask_similar, mask_text

_POOL = 20
_TOKENS_BEFORE = 3
_SMALLEST_RANGE = 1e-12

#: How far each sentence is from the picture at hand.
Distance = Callable[[Sequence[str]], Float[np.ndarray, " sentences"]]


@runtime_checkable
class TokenModel(Protocol):
    """A masked language model as upstream uses it: on lists of tokens."""

    def tokenize(self, text: str) -> list[str]:
        """Tokens, special ones among them where the text has them literally."""
        ...

    def fill(self, tokens: Sequence[str], place: int, count: int) -> list[tuple[str, float]]:
        """The ``count`` likeliest tokens at a place and their probabilities, best first."""
        ...

    def is_stop(self, token: str) -> bool:
        """Whether a token is one of those of stop words and punctuation."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class UpstreamSettings:
    """As the published command has them.

    Args:
        weights: of p, a and d; t takes no part.
        k: candidates a mask.
        threshold: of "sim", -1 to 1.
        mode: "direct", "sim" or "mix".
    """

    weights: Weights
    k: int = 3
    threshold: float = 0.7
    mode: str = "mix"


class UpstreamInserter:
    """Changes one caption after the other; see the module.

    Args:
        model: see ``TokenModel``.
        nouns, similarity: of "sim".
        attribute_similarity: of words and attributes.
        settings: see ``UpstreamSettings``.
    """

    def __init__(
        self,
        model: TokenModel,
        *,
        nouns: Nouns,
        similarity: Similarity,
        attribute_similarity: Similarity,
        settings: UpstreamSettings,
    ) -> None:
        self._model = model
        self._nouns = nouns
        self._similarity = similarity
        self._attribute_similarity = attribute_similarity
        self._settings = settings

    def perturb(
        self, text: str, objects: Sequence[str], attributes: Sequence[str], distance: Distance
    ) -> str:
        """The changed caption.

        Raises:
            EvaluationError: see ``mask_text``.
        """
        masked = mask_text(
            text,
            objects,
            self._settings.mode,
            lambda: mask_similar(
                text,
                objects,
                nouns=self._nouns,
                similarity=self._similarity,
                threshold=self._settings.threshold,
            ),
        )
        read = ["", *self._model.tokenize(text), ""]
        written = ["", *self._model.tokenize(masked.text), ""]
        whole = joined_pieces(written)
        for place in [i for i, token in enumerate(written) if token == MASK]:
            read.insert(place, MASK)
            words, p = self._candidates(read, place)
            numbers = masked.objects.get(whole[place + 1], [])
            own = [attributes[number] for number in numbers]
            written[place] = self._best(words, p, own, written, place, distance)
        return glued(written)

    def _candidates(
        self, tokens: Sequence[str], place: int
    ) -> tuple[list[str], Float[np.ndarray, " k"]]:
        """At most k tokens, and k probabilities: zeros stand for what is missing (fault 6)."""
        k = self._settings.k
        before = tokens[place - _TOKENS_BEFORE : place] if place >= _TOKENS_BEFORE else []
        banned = {tokens[place + 1], *before, "[UNK]"}
        kept = [
            (token, p)
            for token, p in self._model.fill(tokens, place, _POOL)
            if token not in banned and not self._model.is_stop(token)
        ][:k]
        p = np.zeros(k)
        p[: len(kept)] = [own for _, own in kept]
        return [token for token, _ in kept], p

    def _best(
        self,
        words: list[str],
        p: Float[np.ndarray, " k"],
        attributes: Sequence[str],
        tokens: Sequence[str],
        place: int,
        distance: Distance,
    ) -> str:
        if not words:
            return ""
        weights = self._settings.weights
        a = np.zeros(len(words))
        if attributes:
            a = self._attribute_similarity.matrix(words, attributes).max(axis=1)
        sentences = [glued([*tokens[:place], word, *tokens[place + 1 :]]) for word in words]
        score = weights.p * upstream_scaled(p)[: len(words)]
        score = score + weights.a * upstream_scaled(a)
        score = score + weights.d * upstream_scaled(distance(sentences))
        return words[int(np.argmax(score))]


def upstream_scaled(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Min-max; where all are equal the least is taken for 0, whatever the sign."""
    least, most = values.min(), values.max()
    if least == most:
        least = 0.0
    return (values - least) / max(most - least, _SMALLEST_RANGE)


def joined_pieces(tokens: Sequence[str]) -> list[str]:
    """Every token replaced by the word it is a piece of; the list keeps its length."""
    whole: list[str] = []
    pieces = 0
    for token in tokens:
        if token.startswith("##"):
            whole[-1] += token[2:]
            pieces += 1
            continue
        whole += [whole[-1]] * pieces if pieces else []
        pieces = 0
        whole.append(token)
    return whole


def glued(tokens: Sequence[str]) -> str:
    """Tokens as text: pieces are joined, punctuation follows without a space.

    The boundary tokens at both ends are left out; after an apostrophe the next word is joined too.
    """
    text, after_apostrophe = "", False
    for token in tokens[1:-1]:
        if token.startswith("##"):
            text += token[2:]
        elif token == "":
            continue
        elif token in string.punctuation:
            after_apostrophe = after_apostrophe or token == "'"
            text += token
        elif after_apostrophe:
            text += token
            after_apostrophe = False
        else:
            text += f" {token}"
    return text[1:]
