"""All scores of generated captions, with intervals over images."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from data_pipelines.texts import listed
from eval.metrics.bleu import bleu_counts, bleu_scores
from eval.metrics.caption_words import caption_words
from eval.metrics.cider import cider_values
from eval.metrics.clustered import clustered_mean
from eval.metrics.rouge_l import rouge_l_values
from eval.results import Score

#: Of CIDEr-D for one image.
CIDER_RANGE = (0.0, 10.0)


class CaptionScores(NamedTuple):
    """Scores of a set of captions.

    Attributes:
        scores: ``bleu_1`` to ``bleu_4``, ``cider``, ``rouge_l``.
        cider: of each image, in [0, 10]; two models' are compared with ``paired_means``.
        rouge_l: of each image.
    """

    scores: dict[str, Score]
    cider: Float64[np.ndarray, " images"]
    rouge_l: Float64[np.ndarray, " images"]


def caption_scores(
    captions: Sequence[str], references: Sequence[Sequence[str]], *, seed: int
) -> CaptionScores:
    """BLEU of the corpus, CIDEr-D and ROUGE-L as means over images.

    Intervals are over images; document frequencies of CIDEr-D stay those of all of them.

    Args:
        captions: of each image, at least one image.
        references: its reference captions, at least one each.
        seed: of the draws.
    """
    words = [caption_words(caption) for caption in listed(captions)]
    reference_words = [[caption_words(text) for text in listed(own)] for own in references]
    cider = cider_values(words, reference_words)
    rouge_l = rouge_l_values(words, reference_words)
    each = np.arange(len(words))
    scores = bleu_scores(bleu_counts(words, reference_words), seed=seed)
    scores["cider"] = clustered_mean(cider, each, seed=seed, unit="number", bounds=CIDER_RANGE)
    scores["rouge_l"] = clustered_mean(rouge_l, each, seed=seed)
    return CaptionScores(scores, cider, rouge_l)


def shuffled_cider(
    captions: Sequence[str], references: Sequence[Sequence[str]], *, seed: int
) -> Score:
    """CIDEr-D of the captions when each is given to the next image, the last to the first."""
    moved = [caption_words(caption) for caption in [*captions[1:], captions[0]]]
    values = cider_values(moved, [[caption_words(text) for text in own] for own in references])
    each = np.arange(len(values))
    return clustered_mean(values, each, seed=seed, unit="number", bounds=CIDER_RANGE)
