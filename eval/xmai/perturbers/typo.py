"""Slips of the finger: a neighbouring key, two letters swapped, one missing, one twice."""

import random

from eval.xmai.perturbers.contract import WORD, PerturberOptions, generator, number_of, perturbers

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_BESIDE = ((0, -1), (0, 1), (-1, 0), (-1, 1), (1, -1), (1, 0))
_SHORTEST = 4


def _neighbours() -> dict[str, str]:
    """Keys beside each other on a QWERTY keyboard, within a row and to the rows around."""
    found: dict[str, set[str]] = {key: set() for row in _ROWS for key in row}
    for r, row in enumerate(_ROWS):
        for c, key in enumerate(row):
            beside = [
                (r, c - 1),
                (r, c + 1),
                (r - 1, c),
                (r - 1, c + 1),
                (r + 1, c - 1),
                (r + 1, c),
            ]
            for r2, c2 in beside:
                if 0 <= r2 < len(_ROWS) and 0 <= c2 < len(_ROWS[r2]):
                    found[key].add(_ROWS[r2][c2])
    return {key: "".join(sorted(keys)) for key, keys in found.items()}


NEIGHBOURS = _neighbours()


class Typo:
    """One slip in each of a share of the words; words below four letters are left alone.

    Args:
        share: of the words that can have one, 0 to 1.
    """

    def __init__(self, share: float) -> None:
        self._share = share

    def perturb(self, caption: str, *, row_id: str, seed: int) -> str:
        """See ``Perturber``."""
        words = [word for word in WORD.finditer(caption) if len(word.group()) >= _SHORTEST]
        if not words:
            return caption
        draws = generator("typo", row_id, seed)
        chosen = draws.sample(range(len(words)), number_of(self._share, len(words)))
        for number in sorted(chosen, reverse=True):
            word = words[number]
            caption = caption[: word.start()] + slip(word.group(), draws) + caption[word.end() :]
        return caption


def slip(word: str, draws: random.Random) -> str:
    """The word with one slip behind its first letter."""
    place = draws.randrange(1, len(word))
    kind = draws.choice(("neighbour", "swap", "drop", "double"))
    letter = word[place]
    if kind == "neighbour" and letter.lower() in NEIGHBOURS:
        return word[:place] + draws.choice(NEIGHBOURS[letter.lower()]) + word[place + 1 :]
    if kind == "swap" and place > 1 and word[place - 1] != letter:
        return word[: place - 1] + letter + word[place - 1] + word[place + 1 :]
    if kind == "drop":
        return word[:place] + word[place + 1 :]
    return word[:place] + letter + word[place:]


@perturbers.register("typo")
def build(options: PerturberOptions) -> Typo:
    """From options."""
    return Typo(options.share)
