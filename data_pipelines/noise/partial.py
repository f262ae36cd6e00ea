"""Partial captions: right as far as they go, but with a part missing or exchanged.

Nobody has published such a protocol that we know of: the three kinds, and how a phrase is taken
out of a sentence, are our own, stated at each function. All return None where the damage is not
possible.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from data_pipelines.noise.phrases import (
    CONNECTIVES,
    DETERMINERS,
    WORD,
    NounPhrases,
    Phrase,
    content_words,
    says_something,
)

KINDS = ("delete", "truncate", "swap")

#: Words that "truncate" leaves.
MAX_WORDS = 4

#: A number below its argument, another for each name: where a damage may choose.
Draw: TypeAlias = Callable[[str, int], int]


def delete_phrases(caption: str, find: NounPhrases, draw: Draw) -> str | None:
    """Half of the noun phrases, rounded up, taken out with the prepositions before them.

    Where that would leave nothing of content, half of the words of a phrase go instead, rounded
    up, but never its determiner and its last word: "a photo of a small red bus" becomes "a photo
    of a bus".

    Returns:
        None without a phrase, or where the only content is a single word.
    """
    phrases = find(caption)
    chosen = _draw_some(len(phrases), count=-(-len(phrases) // 2), draw=draw)
    if not chosen:
        return None
    rest = _without(caption, [_with_connectives(caption, phrases[i]) for i in chosen])
    if not says_something(rest):
        rest = _without(caption, _half_of_modifiers(caption, phrases[chosen[0]], draw))
    rest = _tidy(rest)
    return rest if content_words(rest) != content_words(caption) else None


def truncate(caption: str) -> str | None:
    """The first four words, without punctuation after them.

    Returns:
        None where there are no more.
    """
    words = caption.split()
    if len(words) <= MAX_WORDS:
        return None
    return _tidy(" ".join(words[:MAX_WORDS]).rstrip(",;:-"))


def swap_phrase(
    caption: str, others: Iterable[str], find: NounPhrases, draw: Draw, *, own: Sequence[str]
) -> str | None:
    """One noun phrase replaced by a noun phrase of another caption.

    Args:
        others: captions that may give a phrase, tried in turn.
        own: captions of the same image, none of which may hold the new phrase.
    Returns:
        None without a phrase here, where nothing else has content (a caption replaced as a whole
        would be mismatched), or where none of the others has a phrase that is new here.
    """
    phrases = find(caption)
    if not phrases:
        return None
    old = phrases[draw("old phrase", len(phrases))]
    if not says_something(_without(caption, [old])):
        return None
    known = [_padded(text) for text in own]
    for other in others:
        candidates = find(other)
        for step in range(len(candidates)):
            first = draw("new phrase", len(candidates))
            new = candidates[(first + step) % len(candidates)]
            words = other[new.start : new.end]
            core = _padded(" ".join(content_words(words)))
            if core.strip() and not any(core in text for text in known):
                return caption[: old.start] + words + caption[old.end :]
    return None


def _draw_some(total: int, *, count: int, draw: Draw) -> list[int]:
    """``count`` different numbers below ``total``."""
    order = sorted(range(total), key=lambda i: (draw(f"phrase {i}", 1 << 32), i))
    return order[:count]


def _with_connectives(caption: str, phrase: Phrase) -> Phrase:
    """The phrase and the run of prepositions and conjunctions right before it."""
    start = phrase.start
    for match in reversed(list(WORD.finditer(caption, 0, phrase.start))):
        is_next = not caption[match.end() : start].strip()
        if not is_next or match.group().lower() not in CONNECTIVES:
            break
        start = match.start()
    return Phrase(start, phrase.end)


def _half_of_modifiers(caption: str, phrase: Phrase, draw: Draw) -> list[Phrase]:
    """As many words between determiner and last word as make half of the phrase, rounded up."""
    words = [
        Phrase(match.start(), match.end())
        for match in WORD.finditer(caption, phrase.start, phrase.end)
        if match.group().lower() not in DETERMINERS
    ]
    count = min(-(-len(words) // 2), len(words) - 1)
    return [words[i] for i in _draw_some(len(words) - 1, count=count, draw=draw)]


def _without(caption: str, spans: Sequence[Phrase]) -> str:
    kept, position = [], 0
    for span in sorted(spans):
        kept.append(caption[position : span.start])
        position = max(position, span.end)
    return " ".join([*kept, caption[position:]])


def _tidy(text: str) -> str:
    """Single spaces, no doubled or leading punctuation, no connective in front."""
    text = re.sub(r"\s+([,.;:!?])", r"\1", " ".join(text.split()))
    text = re.sub(r"[,;:]+(?=[,.;:!?])", "", text)
    text = text.lstrip(" ,.;:!?-")
    while (first := WORD.match(text)) and first.group().lower() in CONNECTIVES:
        text = text[first.end() :].lstrip(" ,.;:!?-")
    return text


def _padded(text: str) -> str:
    """Words between single spaces, so that whole words are compared."""
    return f" {' '.join(match.group().lower() for match in WORD.finditer(text))} "
