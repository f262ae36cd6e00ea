"""Easy data augmentation: one of synonym replacement, insertion, swap and deletion.

Wei and Zou 2019, arXiv 1901.11196, section 2: each works on a share of the words. As in the
published comparison (TextAttack, one variant a text), one of the four is drawn for each row.
"""

import random

from eval.xmai.perturbers.contract import WORD, PerturberOptions, generator, number_of, perturbers
from eval.xmai.perturbers.deletion import Deletion
from eval.xmai.perturbers.synonym import Synonym
from eval.xmai.perturbers.wordnet import open_wordnet

KINDS = ("synonym", "insertion", "swap", "deletion")


class Eda:
    """See the module.

    Args:
        synonym: replaces; knows the synonyms that are inserted too.
        share: of the words, 0 to 1 (published comparison: 0.2).
    """

    def __init__(self, synonym: Synonym, share: float) -> None:
        self._synonym = synonym
        self._deletion = Deletion(share)
        self._share = share

    def perturb(self, caption: str, *, row_id: str, seed: int) -> str:
        """See ``Perturber``; short captions can stay as they are."""
        draws = generator("eda", row_id, seed)
        kind = draws.choice(KINDS)
        if kind == "synonym":
            return self._synonym.perturb(caption, row_id=row_id, seed=seed)
        if kind == "deletion":
            return self._deletion.perturb(caption, row_id=row_id, seed=seed)
        count = number_of(self._share, len(WORD.findall(caption)))
        for _ in range(count):
            caption = self._insert(caption, draws) if kind == "insertion" else swap(caption, draws)
        return caption

    def _insert(self, caption: str, draws: random.Random) -> str:
        """A synonym of a random word before a random word."""
        words = list(WORD.finditer(caption))
        able = [word for word in words if self._synonym.synonyms(word.group())]
        if not able:
            return caption
        new = draws.choice(self._synonym.synonyms(draws.choice(able).group()))
        place = draws.choice(words).start()
        return f"{caption[:place]}{new} {caption[place:]}"


def swap(caption: str, draws: random.Random) -> str:
    """Two random words change places."""
    words = list(WORD.finditer(caption))
    if len(words) < 2:
        return caption
    first, second = sorted(draws.sample(words, 2), key=lambda word: word.start())
    between = caption[first.end() : second.start()]
    head, tail = caption[: first.start()], caption[second.end() :]
    return f"{head}{second.group()}{between}{first.group()}{tail}"


@perturbers.register("eda")
def build(options: PerturberOptions) -> Eda:
    """From options."""
    return Eda(Synonym(open_wordnet(options.wordnet), options.share), options.share)
