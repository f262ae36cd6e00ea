"""Endings that captions share though they speak of different things: credits, names of sites.

File names and alternative texts of the web end in who made the picture ("tennis shoe ada
byron", "harbour at dawn stock photo"). Such an ending follows many different beginnings, and
no caption begins with its words; a thing that is shown ("sign") is named first somewhere. The rule
is ours. With n(w) the captions that have the word w, f(w) those that begin with it, and heads(e)
the number of different texts before the ending e, numbers at the end left out:

* a pair of words (a, b) is an ending if heads(a b) >= ``pair_heads``, a has three letters or more,
  and f(a) <= 0.03 n(a), f(b) <= 0.03 n(b);
* a word w of three letters or more is one if heads(w) >= ``word_heads``, 90% of its captions end
  in it and f(w) <= 0.03 n(w);
* names are cut off where file names may not be longer: after the a of a pair (a, b), a word that
  begins b, or that b begins, ends it too ("byr", "byrons"); and a alone, where half of its
  captions or more end in such a pair. A word before such an a goes with it (first names), if half
  of its captions or more have it there.

Endings are taken off until none is left, never the whole caption.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

#: Share of a word's captions that may begin with it.
_MOST_FIRST = 0.03
#: Share of a word's captions that end in it, at least, for an ending of one word.
_LEAST_LAST = 0.9
_LEAST_LETTERS = 3

_NUMBER = re.compile(r"\d+[a-z]?|[a-z]?\d+")
_DIGITS = re.compile(r"(?<=[^\W\d]{3})\d+$")


@dataclass(frozen=True, kw_only=True, slots=True)
class EndingSettings:
    """What counts as an ending.

    Args:
        pair_heads: different beginnings that two words must follow.
        word_heads: different beginnings that a single word must follow.
    """

    pair_heads: int = 3
    word_heads: int = 20


class Ending(NamedTuple):
    """A learned ending, and how many different beginnings it follows."""

    words: tuple[str, ...]
    heads: int


class Endings:
    """Takes learned endings off captions.

    Args:
        found: see ``learned_endings``.
        openers: first words of endings, which end a caption alone too.
        first_names: words that are taken off before an ending, not alone.
    """

    def __init__(
        self,
        found: Iterable[Ending],
        openers: Iterable[str] = (),
        first_names: Iterable[str] = (),
    ) -> None:
        self.found = tuple(sorted(found, key=lambda ending: (-ending.heads, ending.words)))
        self.openers = frozenset(openers)
        self.first_names = frozenset(first_names)
        self._whole = {ending.words for ending in self.found}
        self._longest = max(map(len, self._whole), default=0)
        self._seconds: dict[str, set[str]] = defaultdict(set)
        for ending in self.found:
            if len(ending.words) == 2:
                self._seconds[ending.words[0]].add(ending.words[1])

    def length_of(self, words: Sequence[str]) -> int:
        """How many words at the end are an ending; 0 where none is.

        Args:
            words: see ``plain_words``.
        """
        left = list(words)
        while length := self._one(left):
            del left[-length:]
            while len(left) > 1 and left[-1] in self.first_names:
                del left[-1]
        return len(words) - len(left)

    def _one(self, words: Sequence[str]) -> int:
        """Length of one ending; a word at least is left before it."""
        for length in range(min(self._longest, len(words) - 1), 0, -1):
            if tuple(words[-length:]) in self._whole:
                return length
        if len(words) > 2 and self._is_pair(words[-2], words[-1]):
            return 2
        return int(len(words) > 1 and words[-1] in self.openers)

    def _is_pair(self, first: str, second: str) -> bool:
        return any(
            one.startswith(second) or (len(one) > 1 and second.startswith(one))
            for one in self._seconds.get(first, ())
        )


def plain_words(caption: str) -> list[str]:
    """Words in small letters, numbers at their ends left out ("byron1")."""
    return [_DIGITS.sub("", word) for word in caption.lower().split()]


def num_numbers(words: Sequence[str]) -> int:
    """How many words at the end are numbers ("01", "2b"); one word at least is left."""
    count = 0
    while count < len(words) - 1 and _NUMBER.fullmatch(words[-1 - count]):
        count += 1
    return count


def learned_endings(captions: Iterable[str], settings: EndingSettings) -> Endings:
    """The endings of some captions; the order of the captions does not matter.

    Memory grows with the number of different words and endings.
    """
    counts = _counted(captions)
    pairs = [e for e in counts.endings(2, settings.pair_heads) if _is_pair(e, counts)]
    words = [e for e in counts.endings(1, settings.word_heads) if _is_word(e, counts)]
    openers = counts.half_of({e.words: counts.last[e.words] for e in pairs})
    first_names = {
        word
        for (word, opener), number in counts.before_last.items()
        if opener in openers
        and number >= max(settings.pair_heads, counts.captions[word] / 2)
        and len(word) >= _LEAST_LETTERS
        and counts.is_never_first(word)
    }
    return Endings([*pairs, *words], openers, first_names)


class _Counts(NamedTuple):
    """Of captions, by word or ending; ``before_last``: the two words before the last."""

    captions: Counter[str]
    first: Counter[str]
    last: Counter[tuple[str, ...]]
    before_last: Counter[tuple[str, ...]]
    heads: dict[tuple[str, ...], set[int]]

    def endings(self, length: int, least: int) -> Iterator[Ending]:
        for words, heads in self.heads.items():
            if len(words) == length and len(heads) >= least:
                yield Ending(words, len(heads))

    def half_of(self, held: Mapping[tuple[str, ...], int]) -> set[str]:
        """First words of which half of the captions or more are among those of the pairs."""
        total: Counter[str] = Counter()
        for words, number in held.items():
            total[words[0]] += number
        return {word for word, number in total.items() if 2 * number >= self.captions[word]}

    def is_never_first(self, word: str) -> bool:
        return self.first[word] <= _MOST_FIRST * self.captions[word]


def _counted(captions: Iterable[str]) -> _Counts:
    counts = _Counts(Counter(), Counter(), Counter(), Counter(), defaultdict(set))
    for caption in captions:
        words = plain_words(caption)
        words = words[: len(words) - num_numbers(words)]
        if not words:
            continue
        counts.captions.update(set(words))
        counts.first[words[0]] += 1
        if len(words) > 3:
            counts.before_last[tuple(words[-3:-1])] += 1
        for length in (1, 2):
            if len(words) > length:
                ending = tuple(words[-length:])
                counts.last[ending] += 1
                counts.heads[ending].add(_number(" ".join(words[:-length])))
    return counts


def _number(text: str) -> int:
    """Of a text, the same in every process, as Python's own hash is not."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _is_pair(ending: Ending, counts: _Counts) -> bool:
    return len(ending.words[0]) >= _LEAST_LETTERS and all(
        counts.is_never_first(word) and not _NUMBER.fullmatch(word) for word in ending.words
    )


def _is_word(ending: Ending, counts: _Counts) -> bool:
    (word,) = ending.words
    is_last = counts.last[ending.words] >= _LEAST_LAST * counts.captions[word]
    return is_last and len(word) >= _LEAST_LETTERS and counts.is_never_first(word)
