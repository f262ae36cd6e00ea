"""Colours before people: what XMAI's stored outputs do to a third of their insertions."""

import re
from collections.abc import Sequence

COLOURS = frozenset(["white", "black"])

#: Our own list; the audit that counted 5,208 such insertions in the stored SNLI-VE file names none.
#: "females" is in it because the count is then the same, "male" and "female" are left out as they
#: mostly describe another noun.
AUDITED_NOUNS = frozenset(
    [
        "person", "people", "man", "men", "woman", "women", "boy", "boys", "girl", "girls", "child",
        "children", "kid", "kids", "guy", "guys", "lady", "ladies", "females",
    ]
)  # fmt: skip

_TAIL = re.compile(r"[^a-z]+$")


def coloured_people(
    words: Sequence[str], inserted: Sequence[int], *, nouns: frozenset[str] = AUDITED_NOUNS
) -> list[int]:
    """Those of the inserted words that are "white" or "black" directly before a person noun.

    Args:
        words: of the changed text, in lower case; punctuation after a word does not matter.
        inserted: numbers of the inserted words.
        nouns: what counts as a person.
    """
    return [
        place
        for place in inserted
        if words[place] in COLOURS
        and place + 1 < len(words)
        and _TAIL.sub("", words[place + 1]) in nouns
    ]
