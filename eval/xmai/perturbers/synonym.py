"""Words replaced by synonyms of WordNet."""

from eval.xmai.perturbers.contract import (
    WORD,
    PerturberOptions,
    generator,
    like,
    number_of,
    perturbers,
)
from eval.xmai.perturbers.wordnet import WordNet, open_wordnet
from eval.xmai.proposals import STOP_WORDS


class Synonym:
    """Replaces a share of the words by a random synonym each; stop words stay.

    Args:
        wordnet: where synonyms come from.
        share: of all words, 0 to 1.
    """

    def __init__(self, wordnet: WordNet, share: float) -> None:
        self._wordnet = wordnet
        self._share = share

    def perturb(self, caption: str, *, row_id: str, seed: int) -> str:
        """See ``Perturber``; a caption without a word that has synonyms stays as it is."""
        words = list(WORD.finditer(caption))
        able = [word for word in words if self.synonyms(word.group())]
        if not able:
            return caption
        draws = generator("synonym", row_id, seed)
        count = min(len(able), number_of(self._share, len(words)))
        for word in sorted(draws.sample(able, count), key=lambda one: -one.start()):
            chosen = like(draws.choice(self.synonyms(word.group())), word.group())
            caption = caption[: word.start()] + chosen + caption[word.end() :]
        return caption

    def synonyms(self, word: str) -> tuple[str, ...]:
        """Of a word; none of stop words."""
        return () if word.lower() in STOP_WORDS else self._wordnet.synonyms(word)


@perturbers.register("synonym")
def build(options: PerturberOptions) -> Synonym:
    """From options."""
    return Synonym(open_wordnet(options.wordnet), options.share)
