"""Random words left out."""

from eval.xmai.perturbers.contract import WORD, PerturberOptions, generator, number_of, perturbers

_SPACES = " \t"


class Deletion:
    """Deletes a share of the words, never the last one that is left.

    Args:
        share: of the words, 0 to 1 (TextAttack's deletion: 0.2).
    """

    def __init__(self, share: float) -> None:
        self._share = share

    def perturb(self, caption: str, *, row_id: str, seed: int) -> str:
        """See ``Perturber``."""
        words = list(WORD.finditer(caption))
        if len(words) < 2:
            return caption
        count = min(number_of(self._share, len(words)), len(words) - 1)
        chosen = generator("deletion", row_id, seed).sample(range(len(words)), count)
        for number in sorted(chosen, reverse=True):
            caption = without(caption, words[number].start(), words[number].end())
        return caption


def without(text: str, start: int, end: int) -> str:
    """The text without a word and one space beside it."""
    if text[end : end + 1] in _SPACES and end < len(text):
        return text[:start] + text[end + 1 :]
    if start and text[start - 1] in _SPACES:
        return text[: start - 1] + text[end:]
    return text[:start] + text[end:]


@perturbers.register("deletion")
def build(options: PerturberOptions) -> Deletion:
    """From options."""
    return Deletion(options.share)
