"""Compounds into which no other word goes: "a high chair", "a four lane road"."""

import re

from eval.xmai.attributes import words

#: The noun that follows each adjective, in the singular; our own list.
_NOUNS_AFTER: dict[str, frozenset[str]] = {
    "big": words("ben wheel bird top"),
    "black": words("board belt bear berry pepper hole bean"),
    "blue": words("jay jeans cheese bell"),
    "brown": words("sugar bear rice"),
    "cold": words("cut"),
    "double": words("decker bed door"),
    "electric": words("guitar chair"),
    "fast": words("food"),
    "french": words("fry horn toast press door bulldog window fries"),
    "full": words("moon"),
    "golden": words("retriever gate"),
    "grand": words("piano canyon"),
    "great": words("dane wall white"),
    "green": words("bean house onion pepper tea light card"),
    "grizzly": words("bear"),
    "high": words("chair school heel rise speed five jump tide street"),
    "hot": words("dog tub chocolate air pot plate sauce rod"),
    "ice": words("cream"),
    "little": words("league girl boy finger"),
    "living": words("room"),
    "long": words("board jump horn"),
    "mobile": words("phone home"),
    "new": words("york zealand orleans jersey mexico delhi year"),
    "old": words("town"),
    "open": words("house"),
    "parking": words("lot meter"),
    "polar": words("bear"),
    "red": words("cross carpet light wine panda onion pepper bull"),
    "remote": words("control"),
    "rocking": words("chair horse"),
    "single": words("bed"),
    "soft": words("drink ball"),
    "solar": words("panel"),
    "stainless": words("steel"),
    "stuffed": words("animal bear toy"),
    "swiss": words("cheese army"),
    "teddy": words("bear"),
    "washing": words("machine"),
    "swimming": words("pool"),
    "white": words("board house wine bread rice water"),
    "wild": words("life cat flower"),
    "young": words("man woman boy girl"),
}
_PERSONS = frozenset(["little", "young"])
_WORD = re.compile(r"[^\W_]+")
_MEASURE = re.compile(
    r"\b(?:an?|the)\s+(?=(?:two|three|four|five|six|seven|eight|nine|ten|twelve|\d+)\s+$)",
    re.IGNORECASE,
)


def is_fixed(phrase: str) -> bool:
    """Whether a phrase of a modifier and a noun begins with a listed pair."""
    first, *rest = (word.lower() for word in _WORD.findall(phrase)) if phrase else ("",)
    if not rest or first in _PERSONS:
        return False
    known = _NOUNS_AFTER.get(first, frozenset())
    return rest[0] in known or rest[0].removesuffix("s") in known


def start_of_measure(caption: str, offset: int, start: int, end: int) -> int:
    """Where a compound begins whose numeral says how many parts it has, else ``offset``.

    "a four lane road": the noun is one, so that the numeral cannot count it.

    Args:
        offset: where the compound begins without it.
        start: where its last noun begins.
        end: where that ends.
    """
    is_plural = caption[:end].lower().endswith("s") and not caption[:end].lower().endswith("ss")
    found = None if is_plural or offset == start else _MEASURE.search(caption, 0, offset)
    return found.end() if found else offset
