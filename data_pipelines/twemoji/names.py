"""What an emoji is called: names, aliases and English rewordings, from the package ``emoji``."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

#: Rewordings of one emoji, at most; uncommon aliases come last.
MAX_CAPTIONS = 10

#: Prompts that appear in the training captions and as templates of zero-shot classification.
PROMPT_TEMPLATES = ("{c}", "an emoji of {c}", "a picture of {c}")

_TONE = re.compile(r"\b(medium-light|medium-dark|light|medium|dark) skin tone\b")
_PERSON = re.compile(r"(man|woman|person|men|women|people) (?!in |with |and )(.+)")
_OPAQUE_ALIAS = re.compile(r"u[0-9a-f]{4}|[a-z]+2|[^a-z]*|.")  # u7121, pig2, +1, m


class EmojiName(NamedTuple):
    """Names of one emoji: English, its English aliases, and by language code."""

    english: str
    aliases: tuple[str, ...]
    by_language: dict[str, str]
    is_flag: bool


def readable(short_code: str) -> str:
    """Plain words of a short code: ":waving_hand_light_skin_tone:" as its four words."""
    return short_code.strip(":").replace("_", " ").replace("\u2019", "'").strip()


def read_names(entry: Mapping, *, is_flag: bool, languages: Sequence[str]) -> EmojiName:
    """The names in one entry of ``emoji.EMOJI_DATA``.

    Args:
        entry: short codes by language code, and "alias".
        is_flag: whether the emoji is the flag of a country or region, which the package names
            by the bare country.
        languages: codes to read besides English.
    """
    english = readable(entry["en"])
    return EmojiName(
        english=f"flag of {english}" if is_flag else english,
        aliases=tuple(readable(alias) for alias in entry.get("alias", ())),
        by_language={code: readable(entry[code]) for code in languages if code in entry},
        is_flag=is_flag,
    )


def plain_captions(name: EmojiName) -> list[str]:
    """The English name and its word orders: correct English, no aliases, no duplicates."""
    return _unique([name.english, *_with_tones(name.english)])


def training_captions(name: EmojiName, *, reserved: frozenset[str]) -> list[str]:
    """Captions for training, best first: name, word orders, aliases, prompts.

    Args:
        reserved: lower-case names of all emoji; an alias that is the name of another emoji
            ("cat" for "cat face") is left out.
    """
    captions = plain_captions(name)
    if name.is_flag:
        country = name.english.removeprefix("flag of ")
        captions += [f"{country} flag", country]
    captions += _reordered_person(name.english)
    captions += [alias for alias in name.aliases if _is_usable(alias, reserved)]
    captions += [t.replace("{c}", name.english) for t in PROMPT_TEMPLATES[1:]]
    return _unique(captions)[:MAX_CAPTIONS]


def _with_tones(english: str) -> list[str]:
    """Word orders of a name with skin tones: "nose with light skin tone" and the reverse."""
    tones = _TONE.findall(english)
    if not tones:
        return []
    rest = " ".join(_TONE.sub(" ", english).split())
    phrase = " and ".join(f"{tone} skin tone" for tone in tones)
    return [f"{rest} with {phrase}", f"{phrase} {rest}"] if rest else []


def _reordered_person(english: str) -> list[str]:
    """Word order of a name that begins with a person: "running woman" for "woman running"."""
    match = _PERSON.fullmatch(_TONE.sub("", english).strip())
    if match is None:
        return []
    tones = " and ".join(f"{tone} skin tone" for tone in _TONE.findall(english))
    swapped = f"{' '.join(match.group(2).split())} {match.group(1)}"
    return [f"{swapped} with {tones}" if tones else swapped]


def _is_usable(alias: str, reserved: frozenset[str]) -> bool:
    lowered = alias.lower()
    return lowered not in reserved and _OPAQUE_ALIAS.fullmatch(lowered) is None


def _unique(captions: list[str]) -> list[str]:
    """Captions in order, leaving out those that differ from an earlier one only in case."""
    first: dict[str, str] = {}
    for caption in captions:
        first.setdefault(caption.lower(), caption)
    return list(first.values())
