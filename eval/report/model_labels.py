"""Names of models as plots have room for them; tables and result files keep them whole."""

from collections.abc import Sequence
from itertools import takewhile

_ROOM = 26  # letters beside a panel


def model_labels(models: Sequence[str]) -> list[str]:
    """A short label for each model, as different from one another as the names are.

    Folders that all the names begin or end with are left out ("/runs/a/export" and
    "/runs/b/export" are "a" and "b"); of what is still long the middle is.
    """
    parts = [name.split("/") for name in models]
    least = min((len(one) for one in parts), default=1) - 1
    front = min(least, _num_shared(parts)) if len(models) > 1 else least
    back = min(least - front, _num_shared([one[::-1] for one in parts]))
    labels = [_elided("/".join(one[front : len(one) - back])) for one in parts]
    if len(set(labels)) < len(set(models)):
        return [f"{number}: {label}" for number, label in enumerate(labels, start=1)]
    return labels


def _num_shared(names: Sequence[Sequence[str]]) -> int:
    """Parts that all begin with."""
    return sum(
        1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*names, strict=False))
    )


def _elided(name: str) -> str:
    half = (_ROOM - 3) // 2
    return name if len(name) <= _ROOM else f"{name[:half]}...{name[-half:]}"
