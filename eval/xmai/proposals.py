"""Words for a gap: from a masked language model, or from what was detected alone."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from data_pipelines.component_names import is_known, named
from data_pipelines.noise.phrases import FUNCTION_WORDS
from data_pipelines.registry import Registry
from eval.xmai.attributes import words
from eval.xmai.objective import DECIMALS

#: Words that say nothing about a thing, besides the closed classes.
STOP_WORDS = FUNCTION_WORDS | words(
    """other another same own such more most much many few less least several both either neither
    only no nor so too again once now ever never always often first last next second third whole
    entire various certain particular one two three four five six seven eight nine ten"""
)

#: Attributes as detectors and vocabularies write them: words with hyphens or single spaces.
PLAIN_WORDS = re.compile(r"[a-z]+(?:[ -][a-z]+)*")

_PER_PASS = 64
_MOST_CHARACTERS = 600
_SUFFIX = "</w>"


class Context(NamedTuple):
    """A gap in a sentence.

    Attributes:
        before: the sentence up to the gap, with what was inserted earlier.
        after: the rest of it.
        banned: words that must not come, in lower case.
        seen: attributes that were detected on the noun, with their confidence.
        is_restricted: whether only words of ``seen`` may come.
    """

    before: str
    after: str
    banned: frozenset[str]
    seen: Mapping[str, float]
    is_restricted: bool


class Proposal(NamedTuple):
    """A word and its probability in the gap."""

    word: str
    p: float


@runtime_checkable
class Proposer(Protocol):
    """Proposes words for gaps."""

    @property
    def name(self) -> str:
        """What headers call it."""
        ...

    @property
    def fingerprint(self) -> str:
        """Tells it from others; empty where the name says all."""
        ...

    def propose(self, contexts: Sequence[Context], *, count: int) -> list[list[Proposal]]:
        """At most ``count`` words a gap, the likeliest first; equal ones by the alphabet."""
        ...


#: Proposers by name, each made from what stands behind the colon of its name, if it takes that.
proposers: Registry[Callable[[str], Proposer]] = Registry(
    "proposer of words", package="eval.xmai", variable="proposers"
)


class VocabularyProposer:
    """Proposes what was detected, as likely as the detector was sure; needs no language model."""

    name = "vocabulary"
    fingerprint = ""

    def propose(self, contexts: Sequence[Context], *, count: int) -> list[list[Proposal]]:
        """See ``Proposer``."""
        return [
            _likeliest(
                [
                    Proposal(word, p)
                    for word, p in context.seen.items()
                    if word not in context.banned and PLAIN_WORDS.fullmatch(word)
                ],
                count,
            )
            for context in contexts
        ]


@proposers.register("vocabulary")
def _vocabulary(_: str) -> Proposer:
    return VocabularyProposer()


class MaskedLmProposer:
    """Fills the gap by a masked language model: whole words of lower-case letters alone.

    The sentence is tokenised as the model expects it, with its boundary tokens. Words that the
    model splits are never proposed, except detected attributes, which then have probability 0.

    Args:
        name: see ``Proposer``.
        tokenizer: of transformers, with a mask token.
        model: gives logits over the vocabulary.
        fingerprint: see ``Proposer``.
    """

    def __init__(self, name: str, tokenizer: Any, model: Any, *, fingerprint: str) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self._tokenizer = tokenizer
        self._model = model
        self._id_of_word = whole_words(tokenizer)
        self._words = list(self._id_of_word)
        self._ids = torch.tensor([self._id_of_word[word] for word in self._words])

    def propose(self, contexts: Sequence[Context], *, count: int) -> list[list[Proposal]]:
        """See ``Proposer``."""
        encoded = [self._encode(context) for context in contexts]
        order = sorted(range(len(contexts)), key=lambda i: (len(encoded[i][0]), encoded[i]))
        found: list[list[Proposal]] = [[] for _ in contexts]
        for start in range(0, len(order), _PER_PASS):
            rows = order[start : start + _PER_PASS]
            probabilities = self._probabilities([encoded[i] for i in rows])
            for row, own in zip(rows, probabilities, strict=True):
                found[row] = self._choose(contexts[row], own, count)
        return found

    def _encode(self, context: Context) -> tuple[list[int], int]:
        """Token ids, and which of them is the gap."""
        before = self._plain(context.before[-_MOST_CHARACTERS:])
        after = self._plain(context.after[:_MOST_CHARACTERS])
        ids = self._tokenizer(f"{before}{self._tokenizer.mask_token} {after}")["input_ids"]
        place = ids.index(self._tokenizer.mask_token_id)
        limit = min(self._tokenizer.model_max_length, 512)
        if len(ids) > limit:
            first = max(0, min(place - limit // 2, len(ids) - limit))
            ids, place = ids[first : first + limit], place - first
        return list(ids), place

    def _plain(self, text: str) -> str:
        """Without what the tokenizer would take for a special token."""
        for token in self._tokenizer.all_special_tokens:
            text = text.replace(token, " ")
        return text

    @torch.no_grad()
    def _probabilities(
        self, encoded: Sequence[tuple[list[int], int]]
    ) -> Float[Tensor, "gaps vocabulary"]:
        longest = max(len(ids) for ids, _ in encoded)
        padding = self._tokenizer.pad_token_id or 0
        ids = torch.tensor([own + [padding] * (longest - len(own)) for own, _ in encoded])
        mask = torch.tensor([[1] * len(own) + [0] * (longest - len(own)) for own, _ in encoded])
        device = self._model.device
        logits = self._model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits
        places = torch.tensor([place for _, place in encoded], device=device)
        at_gap = logits[torch.arange(len(encoded), device=device), places]
        return at_gap.float().softmax(dim=1).cpu()

    def _choose(
        self, context: Context, probabilities: Float[Tensor, " vocabulary"], count: int
    ) -> list[Proposal]:
        if context.is_restricted:
            wanted = [word for word in context.seen if word not in context.banned]
            return _likeliest(
                [
                    Proposal(word, self._of_word(word, probabilities))
                    for word in wanted
                    if PLAIN_WORDS.fullmatch(word)
                ],
                count,
            )
        own = probabilities[self._ids]
        top = own.topk(min(len(self._words), count + len(context.banned)))
        proposals = [
            Proposal(self._words[i], round(p, DECIMALS))
            for p, i in zip(top.values.tolist(), top.indices.tolist(), strict=True)
            if self._words[i] not in context.banned
        ]
        return _likeliest(proposals, count)

    def _of_word(self, word: str, probabilities: Float[Tensor, " vocabulary"]) -> float:
        number = self._id_of_word.get(word)
        return 0.0 if number is None else round(float(probabilities[number]), DECIMALS)


def load_proposer(spec: str, *, device: str = "cpu") -> Proposer:
    """The proposer called ``spec``; a name that is not registered is a masked language model.

    Args:
        spec: registered, or what transformers can load: a folder or hub id.
        device: of the language model.
    Raises:
        EvaluationError: the model is missing or has no mask token.
    """
    if is_known(spec, proposers):
        build, rest = named(spec, proposers)
        return build(rest)
    from eval.hub.loading import fingerprint_of, load_masked_lm

    tokenizer, model = load_masked_lm(spec, device=device)
    return MaskedLmProposer(spec, tokenizer, model, fingerprint=fingerprint_of(model, tokenizer))


def whole_words(tokenizer: Any) -> dict[str, int]:
    """Tokens that are words by themselves: lower-case letters, three at least, no stop words.

    WordPiece marks pieces that continue a word ("##ly"); byte-pair and SentencePiece
    vocabularies mark those that begin one, and ours those that end one ("cat</w>").
    """
    vocabulary = tokenizer.get_vocab()
    unmark = _unmarked(list(vocabulary))
    special = set(tokenizer.all_special_ids)
    found = {}
    for token, number in sorted(vocabulary.items(), key=lambda entry: entry[1]):
        word = unmark(token)
        if word is None or number in special or word in STOP_WORDS:
            continue
        if len(word) > 2 and word.isascii() and word.isalpha() and word.islower():
            found.setdefault(word, number)
    return found


def _unmarked(tokens: list[str]) -> Callable[[str], str | None]:
    for prefix in ("\u0120", "\u2581"):
        if sum(token.startswith(prefix) for token in tokens) > len(tokens) / 20:
            return lambda token: token[1:] if token.startswith(prefix) else None
    if sum(token.endswith(_SUFFIX) for token in tokens) > len(tokens) / 20:
        return lambda token: token[: -len(_SUFFIX)] if token.endswith(_SUFFIX) else None
    return lambda token: None if token.startswith("##") else token


def _likeliest(proposals: list[Proposal], count: int) -> list[Proposal]:
    return sorted(proposals, key=lambda proposal: (-proposal.p, proposal.word))[:count]
