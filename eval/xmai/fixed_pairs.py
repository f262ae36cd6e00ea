"""Compounds of an adjective and a noun, into which no other word goes: "a high chair"."""

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


def is_fixed(phrase: str) -> bool:
    """Whether a phrase of a modifier and a noun begins with a listed pair."""
    first, *rest = (word.lower() for word in _WORD.findall(phrase)) if phrase else ("",)
    if not rest or first in _PERSONS:
        return False
    known = _NOUNS_AFTER.get(first, frozenset())
    return rest[0] in known or rest[0].removesuffix("s") in known
