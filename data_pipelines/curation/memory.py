"""Memory that a step needs, said before it is taken."""

import os

from data_pipelines.errors import DataError


def refuse_beyond_memory(needed: int, *, what: str) -> None:
    """End with one line before memory is taken that the machine has not.

    Args:
        needed: bytes.
        what: takes them.
    Raises:
        DataError: the machine has less.
    """
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise DataError(
            f"{what} take {needed / 1e9:.1f} GB of memory and this machine has {there / 1e9:.1f}; "
            "run it on a larger one, or filter more before this stage"
        )
