"""VQA accuracy: agreement of an answer with ten people's, after normalisation.

Antol et al. 2015, arXiv 1505.00468, section 3.4: an answer counts min(people who gave it / 3, 1).
The official tool averages that over the ten ways to leave one person out; normalisation follows
the same tool (read from its code, with the punctuation marks of its older form, which LAVIS has
too). The tool normalises references less than answers, for those of VQA are normalised already;
here both are treated alike. A single reference answer gives exact match.
"""

import re
from collections.abc import Sequence

from data_pipelines.texts import listed

_NUMBERS = {
    "none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5",
    "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10",
}  # fmt: skip
_ARTICLES = frozenset(["a", "an", "the"])

# What the tool puts apostrophes back into, by the part before them. Short forms that are words of
# their own (its, well, hell, shell, ill, wed, were) are not among them.
_ENDINGS = {
    "n't": "ai are ca could did does do had has have is might must need ought sha should was were "
    "wo would",
    "'ve": "could might must not should they we what where who would you",
    "'s": "he how somebody someone that there what when where who why",
    "'d": "he how it there they where who you",
    "'ll": "how it somebody someone something they what who why you",
    "'re": "there they what why you",
    "n't've": "could had might should would",
    "'d've": "he it she somebody someone something there they we who you",
}
_WHOLE = ("ma'am", "o'clock", "'twas", "y'all")
_DROPPED_TWICE = {"n't've": ("nt've", "n'tve"), "'d've": ("d've", "'dve")}


def _contractions() -> dict[str, str]:
    mended = {whole.replace("'", ""): whole for whole in _WHOLE}
    for ending, stems in _ENDINGS.items():
        for short in _DROPPED_TWICE.get(ending, (ending.replace("'", ""),)):
            mended |= {stem + short: stem + ending for stem in stems.split()}
    return mended


_CONTRACTIONS = _contractions()

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"(\d)(,)(\d)")
# A full stop goes unless a digit follows: "3.5" and ".5" keep theirs.
_LONE_STOP = re.compile(r"\.(?!\d)")
_LEAVE_OUT_ONE = 3


def normalized_answer(answer: str) -> str:
    """As answers are compared: lower case, no articles, digits for number words, no punctuation."""
    text = " ".join(answer.split())
    has_number = _COMMA_IN_NUMBER.search(text) is not None
    bare = text
    for mark in _PUNCTUATION:
        is_at_a_space = f"{mark} " in text or f" {mark}" in text
        bare = bare.replace(mark, "" if is_at_a_space or has_number else " ")
    text = _LONE_STOP.sub("", bare)
    words = [_NUMBERS.get(word, word) for word in text.lower().split()]
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def vqa_accuracy(answer: str, references: Sequence[str]) -> float:
    """Accuracy of one answer, in [0, 1].

    With m of n references equal to it, leaving one of those out leaves m - 1, leaving another out
    leaves m: (m min((m-1)/3, 1) + (n-m) min(m/3, 1)) / n.

    Args:
        answer: of the model.
        references: people's answers, at least one, ten in VQA's data sets; one gives exact match.
    """
    references = listed(references)
    given = normalized_answer(answer)
    equal = sum(normalized_answer(reference) == given for reference in references)
    if len(references) == 1:
        return float(equal)
    if_own = min(max(equal - 1, 0) / _LEAVE_OUT_ONE, 1.0)
    if_other = min(equal / _LEAVE_OUT_ONE, 1.0)
    return (equal * if_own + (len(references) - equal) * if_other) / len(references)
