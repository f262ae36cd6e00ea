"""Words inserted or replaced by a masked language model that sees the text alone.

After CLARE (Li et al. 2021, arXiv 2009.07502), without its search against a victim: places are
drawn, and the word is drawn among the likeliest ones by probability, none that the caption already
has. Our own simplification.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

from eval.errors import EvaluationError
from eval.xmai.letter_case import in_case_of
from eval.xmai.perturbers.contract import (
    WORD,
    PerturberOptions,
    generator,
    like,
    number_of,
    perturbers,
)
from eval.xmai.proposals import Context, Proposal, Proposer, load_proposer

_AMONG = 10


class _Draft(NamedTuple):
    text: str
    place: int
    end: int
    draws: random.Random


class MaskedWords:
    """See the module.

    Args:
        proposer: fills gaps.
        share: of the words that get a new word before them, or are replaced, 0 to 1.
        replaces: whether words are replaced; else new ones are inserted.
    """

    def __init__(self, proposer: Proposer, share: float, *, replaces: bool) -> None:
        self._proposer = proposer
        self._share = share
        self._replaces = replaces
        self._name = "masked_replace" if replaces else "masked_insert"

    def perturb(self, caption: str, *, row_id: str, seed: int) -> str:
        """See ``Perturber``."""
        return self.perturb_many([caption], row_ids=[row_id], seed=seed)[0]

    def perturb_many(
        self, captions: Sequence[str], *, row_ids: Sequence[str], seed: int
    ) -> list[str]:
        """See ``BatchPerturber``: the first change of all captions, then the second."""
        texts = list(captions)
        draws = [generator(self._name, row_id, seed) for row_id in row_ids]
        places = [self._places(text, own) for text, own in zip(texts, draws, strict=True)]
        for step in range(max(map(len, places), default=0)):
            rows = [row for row, own in enumerate(places) if step < len(own)]
            drafts = [_Draft(texts[row], *places[row][step], draws[row]) for row in rows]
            contexts = [self._context(draft) for draft in drafts]
            proposals = self._proposer.propose(contexts, count=_AMONG)
            for row, draft, own in zip(rows, drafts, proposals, strict=True):
                texts[row] = self._changed(draft, own)
        return texts

    def _places(self, text: str, draws: random.Random) -> list[tuple[int, int]]:
        """From the right, so that a change does not move the places still to come."""
        words = list(WORD.finditer(text))
        if not words:
            return []
        chosen = draws.sample(words, number_of(self._share, len(words)))
        spans = [(word.start(), word.end() if self._replaces else word.start()) for word in chosen]
        return sorted(spans, reverse=True)

    def _context(self, draft: _Draft) -> Context:
        before, after = draft.text[: draft.place], draft.text[draft.end :].lstrip(" ")
        there = frozenset(word.lower() for word in WORD.findall(draft.text))
        return Context(before, after, there, {}, False)

    def _changed(self, draft: _Draft, proposals: Sequence[Proposal]) -> str:
        if not proposals:
            return draft.text
        weights = [proposal.p + 1e-9 for proposal in proposals]
        word = draft.draws.choices(proposals, weights)[0].word
        if self._replaces:
            new = like(word, draft.text[draft.place : draft.end])
            return f"{draft.text[: draft.place]}{new}{draft.text[draft.end :]}"
        before, after = draft.text[: draft.place], draft.text[draft.place :]
        return f"{before}{in_case_of(word, before, after)} {after}"


@perturbers.register("masked_insert")
def build_insert(options: PerturberOptions) -> MaskedWords:
    """Inserts; from options."""
    return MaskedWords(_proposer(options), options.share, replaces=False)


@perturbers.register("masked_replace")
def build_replace(options: PerturberOptions) -> MaskedWords:
    """Replaces; from options."""
    return MaskedWords(_proposer(options), options.share, replaces=True)


def _proposer(options: PerturberOptions) -> Proposer:
    if options.masked_lm == "vocabulary":
        raise EvaluationError(
            "this method fills gaps and needs a masked language model: --masked-lm "
            "bert-base-cased, or the folder of one"
        )
    return load_proposer(options.masked_lm, device=options.device)
