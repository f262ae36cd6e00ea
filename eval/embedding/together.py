"""Arrays that all processes compute together, or take from the store together."""

from collections.abc import Callable
from contextlib import suppress

import numpy as np

from eval.capabilities import device_of
from eval.contract import Embedder, Model
from eval.process_group import all_agree


def remembered_together(
    embedder: Embedder, model: Model, key: str, compute: Callable[[], np.ndarray]
) -> np.ndarray:
    """As ``Embedder.remembered`` where ``compute`` is collective.

    Where any process does not find what was kept (its disk may be another one), all compute.

    Args:
        compute: gives the same on every process.
    """
    kept: np.ndarray | None = None
    with suppress(_NotKeptError):
        kept = embedder.remembered(model, key, _nothing)
    if all_agree(kept is not None, device=device_of(model)) and kept is not None:
        return kept
    array = compute()
    if kept is None:
        embedder.remembered(model, key, lambda: array)
    return array


class _NotKeptError(Exception):
    """There is nothing under the key."""


def _nothing() -> np.ndarray:
    raise _NotKeptError
