"""Headers by which servers say that a picture is not for data sets.

``X-Robots-Tag`` as Google documents it: directives with commas between, each meant for all or, from
a name and a colon on, for one robot; img2dataset's directives are the default. ``TDM-Reservation:
1`` is the reservation of the W3C's TDM Reservation Protocol.
"""

from collections.abc import Iterable, Set

# Directives that have a value behind a colon of their own.
_VALUED = frozenset(("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"))
_MEANS = {"none": frozenset(("noindex", "nofollow"))}


def opted_out_by(
    robots_tags: Iterable[str], tdm_reservation: str | None, *, token: str, directives: Set[str]
) -> str | None:
    """What opts a picture out, in words for the table; None where nothing does.

    Args:
        robots_tags: values of all ``X-Robots-Tag`` headers.
        tdm_reservation: value of that header.
        token: our name, in any case.
        directives: those that are heeded; none: nothing is.
    """
    if not directives:
        return None
    for value in robots_tags:
        for directive in _meant_for(value, token.lower()):
            if directives & _MEANS.get(directive, {directive}):
                return f"X-Robots-Tag: {directive}"
    if (tdm_reservation or "").strip() == "1":
        return "TDM-Reservation: 1"
    return None


def _meant_for(value: str, token: str) -> Iterable[str]:
    robot = ""
    for part in value.lower().split(","):
        name, colon, rest = part.strip().partition(":")
        if colon and name.strip() not in _VALUED:
            robot, part = name.strip(), rest
        if robot in ("", "*", token):
            yield part.partition(":")[0].strip()
