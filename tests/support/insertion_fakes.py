"""Parts of attribute insertion that need no model: their numbers are hashes of their input."""

import hashlib
from collections.abc import Sequence

import numpy as np

from eval.hub.similarity import load_similarity
from eval.xmai.candidates import ListedAdjectives, Rules
from eval.xmai.detections import Detection
from eval.xmai.insertion import Tools
from eval.xmai.matching import Matcher
from eval.xmai.people import PRESETS
from eval.xmai.proposals import Context, Proposal
from eval.xmai.rule_nouns import rule_nouns
from eval.xmai.sources import TableRow, TableSource
from eval.xmai.tagger import Claim

WORDS = ("red", "blue", "wooden", "small", "orange", "striped", "old", "white")


def share(*parts: object) -> float:
    """A number between 0 and 1 that depends on the parts alone."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


class FakeProposer:
    """Proposes words of a list; remembers what it was asked.

    Args:
        words: to propose.
    """

    name = "fake"
    fingerprint = "0"

    def __init__(self, words: Sequence[str] = WORDS) -> None:
        self.words = words
        self.asked: list[Context] = []

    def propose(self, contexts: Sequence[Context], *, count: int) -> list[list[Proposal]]:
        """See ``Proposer``."""
        self.asked += contexts
        return [self._words(context)[:count] for context in contexts]

    def _words(self, context: Context) -> list[Proposal]:
        known = list(context.seen) if context.is_restricted else self.words
        found = [
            Proposal(w, round(share(context.before, w), 5))
            for w in known
            if w not in context.banned
        ]
        return sorted(found, key=lambda one: (-one.p, one.word))


class FakeScorer:
    """Cosines by hash; remembers the sentences."""

    name = "fake"
    fingerprint = "1"

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def picture_embeds(self, pictures: Sequence[bytes]) -> tuple[np.ndarray, list[bool]]:
        """See ``CrossModal``; pictures that begin with "broken" cannot be decoded."""
        embeds = np.array([[share(picture)] for picture in pictures]).reshape(-1, 1)
        return embeds, [not picture.startswith(b"broken") for picture in pictures]

    def cosines(
        self, picture_embeds: np.ndarray, rows: Sequence[int], sentences: Sequence[str]
    ) -> np.ndarray:
        """See ``CrossModal``."""
        self.sentences += sentences
        pairs = zip(rows, sentences, strict=True)
        return np.array([share(picture_embeds[row, 0], text) for row, text in pairs])


class FakeTagger:
    """Supports the words it is told to.

    Args:
        true: words that every picture supports with probability 0.9; all others have 0.05.
    """

    name = "fake"
    fingerprint = "2"

    def __init__(self, true: Sequence[str]) -> None:
        self.true = frozenset(true)

    def picture_embeds(self, pictures: Sequence[bytes]) -> tuple[np.ndarray, list[bool]]:
        """See ``Tagger``."""
        return np.zeros((len(pictures), 1)), [True] * len(pictures)

    def support(self, picture_embeds: np.ndarray, claims: Sequence[Claim]) -> np.ndarray:
        """See ``Tagger``."""
        return np.array([0.9 if claim.word in self.true else 0.05 for claim in claims])


def fake_tools(**parts: object) -> Tools:
    """All fakes, and the real rules around them."""
    tools = Tools(
        matcher=Matcher(rule_nouns, similarity=load_similarity("characters")),
        proposer=FakeProposer(),
        rules=Rules(blocked=PRESETS["people"], adjectives=ListedAdjectives(), at_most=12),
        similarity=load_similarity("characters"),
        scorer=FakeScorer(),
        tagger=None,
    )
    return tools._replace(**parts)


def seen(name: str, *attributes: str, confidence: float = 0.9) -> tuple[Detection, ...]:
    """One object with some attributes."""
    return tuple(
        Detection(uid="u", name=name, attribute=attribute, attribute_score=confidence)
        for attribute in attributes
    )


def table(captions: Sequence[str], detections: Sequence[Sequence[Detection]]) -> TableSource:
    """Captions with a picture each, whose bytes are its number."""
    rows = tuple(
        TableRow(f"picture-{n}", text, None, f"{n}".encode(), tuple(own))
        for n, (text, own) in enumerate(zip(captions, detections, strict=True))
    )
    return TableSource(rows, {"name": "fake", "revision": "0"})
