"""Attribute insertion, corrected: gap by gap, many captions at a time, on character offsets.

The algorithm is that of arXiv 2306.11065 (section 3); ``eval.xmai.upstream.algorithm`` keeps the
published behaviour. Corrected here: a chosen word is part of the context of the next gap and of
what the scorer reads, no sentence holds a mask, the model sees its boundary tokens, whole words
alone are inserted, nothing pads the scores, and the caption is never cut into tokens and glued. The
language model fills the gap right before the noun; the word then goes where English has it among
the adjectives that are there (``eval.xmai.placing``), once in a caption.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from data_pipelines.noise.phrases import WORD
from eval.hub.similarity import Similarity
from eval.xmai.attributes import canonical
from eval.xmai.candidates import Rules
from eval.xmai.chunks import CaptionRow, Chunk
from eval.xmai.crossmodal import CrossModal
from eval.xmai.matching import Gap, Matcher
from eval.xmai.objective import DECIMALS, Scores, Weights, objective, ranked
from eval.xmai.placing import Draft, Fit
from eval.xmai.proposals import Context, Proposer
from eval.xmai.records import Candidate, Insertion, PerturbedCaption, inserted
from eval.xmai.specs import Around, Truth
from eval.xmai.tagger import Claim, Frame, Tagger


@dataclass(frozen=True, kw_only=True, slots=True)
class InsertionSettings:
    """Numbers of the algorithm.

    Args:
        k: candidates compared a gap (published: 3).
        weights: of the four scores.
        truth: which words count as true; see ``Truth``.
        confidence: of a detected attribute, from which it counts, 0 to 1.
        support: of the tagger, from which a word counts, 0 to 1.
        max_insertions: words inserted in one caption at most.
        pool: words asked of the proposer a gap.
        around: what the tagger reads with a word.
    """

    k: int = 3
    weights: Weights = Weights(1.0, 5.0, 5.0)
    truth: Truth = "detected"
    confidence: float = 0.5
    support: float = 0.5
    max_insertions: int = 3
    pool: int = 60
    around: Around = "caption"


class Tools(NamedTuple):
    """What the algorithm is made of; ``scorer`` and ``tagger`` may be missing (d and t are 0)."""

    matcher: Matcher
    proposer: Proposer
    rules: Rules
    similarity: Similarity
    scorer: CrossModal | None
    tagger: Tagger | None


class _Looks(NamedTuple):
    scorer: Float[np.ndarray, "pictures embed_dim"]
    tagger: Float[np.ndarray, "pictures embed_dim"]
    is_good: list[bool]


@dataclass(slots=True)
class _State:
    row: CaptionRow
    gaps: list[Gap]
    insertions: list[Insertion] = field(default_factory=list)


class _Open(NamedTuple):
    """A gap that is being filled."""

    state: _State
    gap: Gap
    context: Context
    words: list[Fit]


class AttributeInserter:
    """Inserts attributes into the captions of a chunk of pictures.

    Args:
        tools: see ``Tools``.
        settings: see ``InsertionSettings``.
        method: what records call it.
    """

    def __init__(self, tools: Tools, settings: InsertionSettings, *, method: str = "xmai") -> None:
        self._tools = tools
        self._settings = settings
        self._method = method

    def perturb(self, chunk: Chunk) -> list[PerturbedCaption]:
        """The captions of the chunk in order, changed or not.

        Captions of pictures that cannot be decoded stay as they are.
        """
        looks = self._look(chunk)
        texts = [row.text for row in chunk.rows]
        gaps = self._tools.matcher.gaps(texts, [row.seen for row in chunk.rows])
        states = [
            _State(row, own if looks.is_good[row.picture] else [])
            for row, own in zip(chunk.rows, gaps, strict=True)
        ]
        for step in range(max((len(state.gaps) for state in states), default=0)):
            limit = self._settings.max_insertions
            active = [s for s in states if step < len(s.gaps) and len(s.insertions) < limit]
            self._fill(active, step, looks)
        return [self._record(state) for state in states]

    def _look(self, chunk: Chunk) -> _Looks:
        nothing = np.zeros((len(chunk.pictures), 1)), [True] * len(chunk.pictures)
        scorer, tagger = self._tools.scorer, self._tools.tagger
        seen = scorer.picture_embeds(chunk.pictures) if scorer else nothing
        tagged = tagger.picture_embeds(chunk.pictures) if tagger else nothing
        is_good = [a and b for a, b in zip(seen[1], tagged[1], strict=True)]
        return _Looks(seen[0], tagged[0], is_good)

    def _fill(self, states: Sequence[_State], step: int, looks: _Looks) -> None:
        gaps = [state.gaps[step] for state in states]
        drafts = [
            Draft(state.row.text, tuple(state.insertions), gap.noun)
            for state, gap in zip(states, gaps, strict=True)
        ]
        contexts = [self._context(draft, gap) for draft, gap in zip(drafts, gaps, strict=True)]
        proposals = self._tools.proposer.propose(contexts, count=self._settings.pool)
        kept = self._tools.rules.kept(contexts, drafts, proposals)
        opened = [
            _Open(state, gap, context, words)
            for state, gap, context, words in zip(states, gaps, contexts, kept, strict=True)
            if words
        ]
        support = self._supports(opened, looks)
        if self._settings.truth == "clip":
            opened, support = self._true_ones(opened, support)
        k = self._settings.k
        opened = [one._replace(words=one.words[:k]) for one in opened]
        support = [own[:k] for own in support]
        distances = self._distances(opened, looks)
        for one, d, t in zip(opened, distances, support, strict=True):
            one.state.insertions.append(self._chosen(one, d, t))

    def _context(self, draft: Draft, gap: Gap) -> Context:
        before, after = draft.split(gap.noun.offset)
        return Context(
            before=before,
            after=after,
            banned=frozenset(word.lower() for word in WORD.findall(before + after)),
            seen=self._seen(gap),
            is_restricted=self._settings.truth == "detected",
        )

    def _seen(self, gap: Gap) -> dict[str, float]:
        """Attributes above the confidence, each with its highest."""
        seen: dict[str, float] = {}
        for detection in gap.seen:
            word, score = detection.attribute.lower().strip(), detection.attribute_score
            if word and score >= self._settings.confidence:
                seen[word] = max(score, seen.get(word, 0.0))
        return seen

    def _supports(self, opened: Sequence[_Open], looks: _Looks) -> list[np.ndarray]:
        """t of every word: the tagger's, else the confidence it was detected with."""
        if self._tools.tagger is None:
            return [
                np.array([one.context.seen.get(p.word, 0.0) for p in one.words]) for one in opened
            ]
        claims = [
            Claim(one.state.row.picture, one.gap.noun.phrase.lower(), p.word, self._frame(one, p))
            for one in opened
            for p in one.words
        ]
        flat = self._tools.tagger.support(looks.tagger, claims)
        return _split(flat, [len(one.words) for one in opened])

    def _frame(self, one: _Open, fit: Fit) -> Frame | None:
        """The original caption around the place: other insertions must not sway the tagger."""
        if self._settings.around == "noun":
            return None
        text = one.state.row.text
        return Frame(text[: fit.offset], text[fit.offset :])

    def _true_ones(
        self, opened: Sequence[_Open], support: Sequence[np.ndarray]
    ) -> tuple[list[_Open], list[np.ndarray]]:
        kept, values = [], []
        for one, own in zip(opened, support, strict=True):
            true = np.flatnonzero(own >= self._settings.support)
            if len(true):
                kept.append(one._replace(words=[one.words[i] for i in true]))
                values.append(own[true])
        return kept, values

    def _distances(self, opened: Sequence[_Open], looks: _Looks) -> list[np.ndarray]:
        counts = [len(one.words) for one in opened]
        if self._tools.scorer is None:
            return [np.zeros(count) for count in counts]
        sentences = [fit.sentence for one in opened for fit in one.words]
        rows = [one.state.row.picture for one in opened for _ in one.words]
        return _split(1 - self._tools.scorer.cosines(looks.scorer, rows, sentences), counts)

    def _chosen(self, one: _Open, d: np.ndarray, t: np.ndarray) -> Insertion:
        words = [fit.word for fit in one.words]
        attributes = sorted({seen.attribute for seen in one.gap.seen if seen.attribute})
        a = np.zeros(len(words))
        if attributes:
            a = self._tools.similarity.matrix(words, attributes).max(axis=1)
        p = np.array([fit.p for fit in one.words])
        scores = Scores(*(np.round(values, DECIMALS) + 0.0 for values in (p, a, d, t)))
        s = objective(scores, self._settings.weights)
        order = ranked(words, s)
        best = one.words[order[0]]
        noun = one.gap.noun
        return Insertion(
            offset=best.offset,
            text=f"{best.written} ",
            word=best.word,
            noun=one.state.row.text[noun.start : noun.end],
            noun_offset=noun.start,
            candidates=tuple(
                Candidate(
                    word=words[i],
                    p=float(scores.p[i]),
                    a=float(scores.a[i]),
                    d=float(scores.d[i]),
                    t=float(scores.t[i]),
                    s=float(s[i]),
                )
                for i in order
            ),
            supported=self._is_supported(one, best.word, float(scores.t[order[0]])),
        )

    def _is_supported(self, one: _Open, word: str, t: float) -> bool | None:
        """By the detections, or by the tagger; None where there are neither."""
        if canonical(word) in {canonical(seen) for seen in one.context.seen}:
            return True
        if self._tools.tagger is not None:
            return t >= self._settings.support
        return False if any(seen.attribute for seen in one.gap.seen) else None

    def _record(self, state: _State) -> PerturbedCaption:
        row = state.row
        insertions = tuple(sorted(state.insertions, key=lambda one: one.offset))
        return PerturbedCaption(
            uid=row.uid,
            caption_number=row.number,
            original=row.text,
            perturbed=inserted(row.text, insertions),
            method=self._method,
            insertions=insertions,
            label=row.label,
        )


def _split(values: np.ndarray, counts: Sequence[int]) -> list[np.ndarray]:
    return np.split(values, np.cumsum(counts)[:-1]) if counts else []
