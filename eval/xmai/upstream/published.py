"""Figures of XMAI's stored outputs, computed anew and compared with what is known of them.

The definitions are those of the audit that the expected counts come from: a row is unchanged if
both texts are equal but for runs of white space; its original is kept if it is a subsequence of the
result (words at white space, case ignored); BLEU is the mean of smoothed sentence BLEU over NLTK's
treebank words, without splitting sentences, letter case kept. The notebook's own BLEU (0.6229)
splits sentences first and drops repeated rows, hence the small difference.
"""

import re
from typing import NamedTuple

import numpy as np

from eval.errors import EvaluationError
from eval.metrics.edits import inserted_places, is_subsequence, space_words
from eval.metrics.sentence_bleu import sentence_bleu
from eval.xmai.person_nouns import coloured_people
from eval.xmai.upstream.files import UpstreamFile, UpstreamRow

_MASK = re.compile(r"\[mask\]", re.IGNORECASE)

BLEU_TOLERANCE = 1e-3


class StoredFigures(NamedTuple):
    """Counts of rows, of insertions where nothing else changed, and mean BLEU."""

    rows: int
    unchanged: int
    original_is_subsequence: int
    insertion_only: int
    insertions: int
    literal_mask_rows: int
    white_or_black_before_person_noun: int
    bleu: float


class Comparison(NamedTuple):
    """A figure of ours beside the known one; ``known`` is None where nothing is known."""

    data: str
    method: str
    figure: str
    ours: float
    known: float | None

    @property
    def agrees(self) -> bool | None:
        """Equal counts, or BLEU within 0.001; None where there is nothing to compare with."""
        if self.known is None:
            return None
        tolerance = BLEU_TOLERANCE if self.figure == "bleu" else 0
        return abs(self.ours - self.known) <= tolerance


#: Known figures of the whole files at commit decde90 of the authors' repository.
KNOWN: dict[tuple[str, str], dict[str, float]] = {
    ("snli_ve", "xmai"): {
        "rows": 17901, "unchanged": 1355, "original_is_subsequence": 17469,
        "insertion_only": 17468, "insertions": 22669, "literal_mask_rows": 12,
        "white_or_black_before_person_noun": 5208, "bleu": 0.62114,
    },
    ("snli_ve", "clare"): {"unchanged": 44, "original_is_subsequence": 10533, "bleu": 0.59163},
    ("snli_ve", "eda"): {"unchanged": 74, "original_is_subsequence": 4590, "bleu": 0.54046},
    ("snli_ve", "deletion"): {"unchanged": 4, "original_is_subsequence": 4, "bleu": 0.632},
    ("snli_ve", "checklist"): {"unchanged": 16408, "bleu": 0.97261},
    ("coco", "clare"): {"unchanged": 38, "original_is_subsequence": 14412, "bleu": 0.74856},
    ("coco", "eda"): {"unchanged": 30, "original_is_subsequence": 6398, "bleu": 0.64726},
    ("coco", "deletion"): {"unchanged": 0, "bleu": 0.7584},
    ("coco", "checklist"): {"unchanged": 23135, "bleu": 0.98248},
}  # fmt: skip

_WHOLE = {"snli_ve": 17901, "coco": 25014}


def stored_figures(file: UpstreamFile) -> StoredFigures:
    """All figures of one method.

    Raises:
        EvaluationError: NLTK, whose words BLEU counts, is not installed.
    """
    tokenize = treebank_words()
    parts = [_of_row(row) for row in file.rows]
    bleu = [sentence_bleu(tokenize(r.perturbed), tokenize(r.original)) for r in file.rows]
    sums = np.array(parts).sum(axis=0).tolist()
    return StoredFigures(len(file.rows), *sums, bleu=float(np.mean(bleu)))


def is_insertion_only(row: UpstreamRow) -> bool:
    """Whether words were only added, and none of them is a mask token."""
    kept = is_subsequence(space_words(row.original), space_words(row.perturbed))
    return kept and not _MASK.search(row.perturbed)


def comparisons(file: UpstreamFile) -> list[Comparison]:
    """Every figure of a file; known ones belong to the whole file, so parts have none."""
    is_whole = len(file.rows) == _WHOLE[file.data]
    known = KNOWN.get((file.data, file.method), {}) if is_whole else {}
    return [
        Comparison(file.data, file.method, name, value, known.get(name))
        for name, value in stored_figures(file)._asdict().items()
    ]


def treebank_words():
    """NLTK's word tokenizer, which needs no downloaded data.

    Raises:
        EvaluationError: NLTK is not installed.
    """
    try:
        from nltk.tokenize.destructive import NLTKWordTokenizer
    except ImportError as error:
        raise EvaluationError("BLEU counts NLTK's words; pip install -e .[xmai]") from error
    return NLTKWordTokenizer().tokenize


def _of_row(row: UpstreamRow) -> list[int]:
    words, known = space_words(row.perturbed), space_words(row.original)
    kept = is_subsequence(known, words)
    inserted = inserted_places(known, words) if kept else []
    return [
        row.perturbed.split() == row.original.split(),
        kept,
        is_insertion_only(row),
        len(inserted),
        bool(_MASK.search(row.perturbed)),
        len(coloured_people(words, inserted)),
    ]
