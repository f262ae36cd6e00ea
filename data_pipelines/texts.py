"""One text is one text: Python takes a str for a sequence of letters."""

from collections.abc import Iterable


def listed(texts: str | Iterable[str]) -> list[str]:
    """The texts as a list; a bare str is a list of one, never of its letters."""
    return [texts] if isinstance(texts, str) else list(texts)
