"""How far a changed text is from its original: distances, and whether words were only added.

The share of rows whose original is a subsequence of the result is how XMAI's stored outputs were
audited: words at white space, letter case ignored (our definition).
"""

from collections.abc import Sequence
from difflib import SequenceMatcher


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Levenshtein's distance (1966): insertions, deletions and replacements, each 1.

    Args:
        first, second: words, or strings for distances in characters.
    """
    if first == second:
        return 0
    row = list(range(len(second) + 1))
    for i, one in enumerate(first, start=1):
        corner, row[0] = row[0], i
        for j, other in enumerate(second, start=1):
            change = corner + (one != other)
            corner = row[j]
            row[j] = min(change, corner + 1, row[j - 1] + 1)
    return row[-1]


def space_words(text: str) -> list[str]:
    """Words at white space, in lower case."""
    return text.lower().split()


def is_subsequence(original: Sequence[str], changed: Sequence[str]) -> bool:
    """Whether all words of the original are in the changed text, in order."""
    words = iter(changed)
    return all(word in words for word in original)


def inserted_places(original: Sequence[str], changed: Sequence[str]) -> list[int]:
    """Numbers of the words of a changed text that its original lacks, where nothing else changed.

    Each original word is found at its earliest place, so what is inserted before an equal word is
    taken to come after it: "a man" to "a a man" inserts the second "a". The number of inserted
    words does not depend on it.

    Raises:
        ValueError: the original is no subsequence of the changed text.
    """
    places, next_word = [], 0
    for place, word in enumerate(changed):
        if next_word < len(original) and word == original[next_word]:
            next_word += 1
        else:
            places.append(place)
    if next_word < len(original):
        raise ValueError("the original is no subsequence of the changed text")
    return places


def new_spans(original: str, changed: str) -> list[tuple[int, int]]:
    """Start and end, in characters, of the words of a changed text that are new in it.

    Words at white space are compared, with the longest common blocks (difflib's matching); a
    replaced word counts as new, a removed one leaves no trace.
    """
    words, starts, at = changed.split(), [], 0
    for word in words:
        at = changed.index(word, at)
        starts.append(at)
        at += len(word)
    matcher = SequenceMatcher(a=original.split(), b=words, autojunk=False)
    return [
        (starts[first], starts[last - 1] + len(words[last - 1]))
        for kind, _, _, first, last in matcher.get_opcodes()
        if kind in ("insert", "replace")
    ]
