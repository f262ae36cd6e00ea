"""One or several: a single string or path counts as one, never as its letters."""

import os
from collections.abc import Iterable


def names(given: str | os.PathLike | Iterable[str | os.PathLike]) -> tuple[str, ...]:
    """Names, paths or texts as a tuple of text."""
    listed = (given,) if isinstance(given, str | os.PathLike) else given
    return tuple(os.fspath(one) for one in listed)
