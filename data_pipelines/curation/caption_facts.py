"""How long a caption is, counted as the filters that papers report count it.

DataComp's ``baselines/apply_filter.py`` has two gates that count differently: ``str.split`` takes
any white space of Unicode for a gap, fastText that of ASCII alone, and it counts line breaks as
words. Both count in the caption as it is stored, white space at its ends included.
"""

import re
from typing import NamedTuple

# fastText, Dictionary::readWord: what ends a word, and the line break, which is one itself.
_GAPS = re.compile("[ \n\r\t\v\f\0]+")


class CaptionFacts(NamedTuple):
    """Counts of the caption that training reads, and of the text as it is stored.

    Attributes:
        caption_chars, caption_words: code points and ``str.split`` words as training reads it.
        stored_chars, stored_words: the same of the text as it is stored.
        stored_tokens: ``fasttext.tokenize`` of the text as it is stored.
    """

    caption_chars: int
    caption_words: int
    stored_chars: int
    stored_words: int
    stored_tokens: int


def caption_facts(caption: str, stored: str) -> CaptionFacts:
    """Count in a caption as training reads it and as it is stored."""
    words = len(caption.split())
    return CaptionFacts(
        caption_chars=len(caption),
        caption_words=words,
        stored_chars=len(stored),
        stored_words=words if stored == caption else len(stored.split()),
        stored_tokens=_num_tokens(stored),
    )


def _num_tokens(text: str) -> int:
    return sum(map(bool, _GAPS.split(text))) + text.count("\n")
