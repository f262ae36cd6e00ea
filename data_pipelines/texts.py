"""One text is one text: Python takes a str for a sequence of letters."""

from collections.abc import Iterable


def listed(texts: str | Iterable[str]) -> list[str]:
    """The texts as a list; a bare str is a list of one, never of its letters."""
    return [texts] if isinstance(texts, str) else list(texts)


def counted(number: int, one: str, more: str = "") -> str:
    """A number with its noun: "1 sample", "2,000 samples".

    Args:
        one: the noun of one.
        more: of any other number; empty adds an s.
    """
    return f"{number:,} {one if number == 1 else more or f'{one}s'}"
