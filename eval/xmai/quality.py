"""How good perturbed texts are, beside how much harm they do: metrics with intervals.

Without any model: BLEU, METEOR, distances, sizes, shares and counted slips. With models: BERTScore,
sentence cosine, perplexity, CLIPScore. Intervals resample pictures, so that captions of one picture
stay together.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int64

from eval.metrics.caption_words import caption_words
from eval.metrics.clustered_table import ClusteredTable
from eval.metrics.edits import (
    edit_distance,
    inserted_places,
    is_subsequence,
    space_words,
)
from eval.metrics.meteor import Forms, meteor
from eval.metrics.sentence_bleu import sentence_bleu
from eval.results import Score
from eval.xmai.grammar import SPECIAL, fused_words, new_slips
from eval.xmai.people import PERSON_NOUNS
from eval.xmai.person_nouns import coloured_people
from eval.xmai.records import PerturbedCaption

Column = Float64[np.ndarray, " texts"]


#: A figure for each pair of texts, NaN where it is not defined.
TextComparer = Callable[[Sequence[str], Sequence[str]], Column]


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityTools:
    """What some metrics need; those without their tool are left out.

    Args:
        stem: for METEOR's second stage.
        synonyms: for METEOR's third stage.
        sentence_cosine: of original and perturbed text.
        bert_score: of perturbed text and original.
        surprise: nats per token of each text.
        clip_score: of each caption's own picture with the given texts.
        issues: of an outside grammar checker, for each text.
    """

    stem: Callable[[str], str] | None = None
    synonyms: Forms | None = None
    sentence_cosine: TextComparer | None = None
    bert_score: TextComparer | None = None
    surprise: Callable[[Sequence[str]], Column] | None = None
    clip_score: Callable[[Sequence[PerturbedCaption], Sequence[str]], Column] | None = None
    issues: Callable[[Sequence[str]], list[int]] | None = None


#: Metrics where less is better, and their units where they are no shares.
_LOWER = frozenset(
    ["character_edits", "word_edits", "insertions_per_text", "special_token_share", "fused_share",
     "coloured_person_share", "slips_added", "issues_added", "unchanged_share",
     "perplexity_ratio"]
)  # fmt: skip
_NUMBERS = frozenset(
    ["character_edits", "word_edits", "insertions_per_text", "slips_added", "issues_added",
     "bert_score", "sentence_cosine", "clip_score_before", "clip_score_after"]
)  # fmt: skip


def quality(
    captions: Sequence[PerturbedCaption], tools: QualityTools | None = None, *, seed: int = 0
) -> dict[str, Score]:
    """Every metric that there is a tool for, over all texts, with 95% intervals over pictures.

    ``bleu``, ``meteor``: of the perturbed text against its original. ``character_edits``,
    ``word_edits``: Levenshtein distances. ``insertions_per_text``: inserted words, of texts where
    nothing else changed. ``unchanged_share``; ``subsequence_share``: the original's words are all
    there, in order. ``special_token_share``, ``fused_share``: texts with what language models leave
    behind. ``coloured_person_share``: of inserted words, those that put white or black directly
    before a person. ``slips_added``: see ``eval.xmai.grammar``. ``perplexity_ratio``: geometric
    mean of after over before.

    Args:
        captions: at least one.
        tools: models and checkers; None uses what needs none.
        seed: of the bootstrap.
    """
    tools = tools or QualityTools()
    columns = _text_columns(captions, tools) | _model_columns(captions, tools)
    table = ClusteredTable(columns, _pictures(captions), seed=seed)
    scores = {name: _score(table, name) for name in columns if name in table}
    if "log_perplexity_ratio" in scores:
        scores["perplexity_ratio"] = _exponential(scores.pop("log_perplexity_ratio"))
    if "clip_score_before" in scores:
        scores["clip_score_drop"] = table.difference(
            "clip_score_before", "clip_score_after", unit="number", lower_is_better=True
        )
    return scores


def _text_columns(captions: Sequence[PerturbedCaption], tools: QualityTools) -> dict[str, Column]:
    rows = [_of_text(caption, tools) for caption in captions]
    return {name: np.array([row[name] for row in rows], dtype=np.float64) for name in rows[0]}


def _of_text(caption: PerturbedCaption, tools: QualityTools) -> dict[str, float]:
    before, after = caption.original, caption.perturbed
    own, known = caption_words(after), caption_words(before)
    words, known_words = space_words(after), space_words(before)
    kept = is_subsequence(known_words, words)
    places = inserted_places(known_words, words) if kept else []
    coloured = len(coloured_people(words, places, nouns=PERSON_NOUNS))
    return {
        "bleu": sentence_bleu(own, known),
        "meteor": meteor(own, known, stem=tools.stem, synonyms=tools.synonyms),
        "character_edits": edit_distance(before, after),
        "word_edits": edit_distance(known_words, words),
        "insertions_per_text": len(places) if kept else math.nan,
        "unchanged_share": before.split() == after.split(),
        "subsequence_share": kept,
        "special_token_share": bool(SPECIAL.search(after)) and not SPECIAL.search(before),
        "fused_share": bool(fused_words(before, after)),
        "coloured_person_share": coloured / len(places) if places else math.nan,
        "slips_added": new_slips(before, after),
    }


def _model_columns(captions: Sequence[PerturbedCaption], tools: QualityTools) -> dict[str, Column]:
    before = [caption.original for caption in captions]
    after = [caption.perturbed for caption in captions]
    columns: dict[str, Column] = {}
    if tools.sentence_cosine is not None:
        columns["sentence_cosine"] = tools.sentence_cosine(before, after)
    if tools.bert_score is not None:
        columns["bert_score"] = tools.bert_score(after, before)
    if tools.surprise is not None:
        columns["log_perplexity_ratio"] = tools.surprise(after) - tools.surprise(before)
    if tools.clip_score is not None:
        columns["clip_score_before"] = tools.clip_score(captions, before)
        columns["clip_score_after"] = tools.clip_score(captions, after)
    if tools.issues is not None:
        issues = np.array(tools.issues(after)) - np.array(tools.issues(before))
        columns["issues_added"] = issues.astype(np.float64)
    return columns


def _pictures(captions: Sequence[PerturbedCaption]) -> Int64[np.ndarray, " texts"]:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(c.uid, len(numbers)) for c in captions], dtype=np.int64)


def _score(table: ClusteredTable, name: str) -> Score:
    unit = "number" if name in _NUMBERS or name.startswith("log_") else "share"
    return table.score(name, unit=unit, lower_is_better=name in _LOWER)


def _exponential(score: Score) -> Score:
    low, value, high = (math.exp(v) for v in (score.low, score.value, score.high))
    return replace(score, value=value, low=low, high=high, unit="ratio", lower_is_better=True)
