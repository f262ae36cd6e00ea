"""Whether "a" or "an" goes before a word: by spelling, with what is spoken otherwise."""

import re

_LAST_WORD = re.compile(r"([^\W_]+)\W*$")

# Spelled with a vowel and spoken with a consonant, and the other way round.
_CONSONANT_SOUND = re.compile(
    r"uni(?!n|m|d)|us[aeu]|uti|ubi|ufo|ura|uro|ute|uk[eru]|eu|ewe|one\b|one-|once|ouija|u-"
)
_VOWEL_SOUND = re.compile(r"hour|hono|honest|heir|herb\b")
_LETTER_NAME = re.compile(r"[AEFHILMNORSX](?:[A-Z]|-|$)")


def fits_article(before: str, word: str) -> bool:
    """Whether a word may follow the last one of ``before``, if that is "a" or "an"."""
    last = _LAST_WORD.search(before)
    article = last.group(1).lower() if last else ""
    if article not in ("a", "an"):
        return True
    return (article == "an") == sounds_like_vowel(word)


def sounds_like_vowel(word: str) -> bool:
    """Whether English says "an" before a word; initials are read letter by letter."""
    if _LETTER_NAME.match(word) and (word.isupper() or word[1:2] == "-"):
        return True
    lower = word.lower()
    if _VOWEL_SOUND.match(lower):
        return True
    return lower[:1] in set("aeiou") and not _CONSONANT_SOUND.match(lower)
