"""Errors of collectives and of workers, said as what they mean: somebody is gone."""

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

from torch import distributed as dist

from vlsuite.batches.workers import lost_worker
from vlsuite.errors import LostContactError

#: What gloo and the store say when a peer is gone; NCCL has an exception class of its own.
_SIGNS = (
    "gloo/transport",
    "connection closed by peer",
    "connection reset by peer",
    "timed out waiting",
    "broken pipe",
    "socket timeout",
    "nccl",
)


@contextmanager
def peers_lost_as_error(world_size: int) -> Iterator[None]:
    """Turn a failed collective, or the death of a worker, inside the block into one line.

    torch reports a worker's death by raising wherever the main thread happens to be.

    Raises:
        LostContactError: a peer closed its connection or did not answer in time, or a worker
            died.
    """
    try:
        yield
    except RuntimeError as error:
        lost = lost_worker(error, timeout=0.0, was_reading="")
        if lost is not None:
            raise lost from error
        if world_size == 1 or not _is_about_peers(error):
            raise
        cause = textwrap.shorten(str(error), 160, placeholder=" ...")
        raise LostContactError(
            f"lost contact with another process of this run ({cause}); its own output says why, "
            f"where it could; continue the run with --resume"
        ) from error


def _is_about_peers(error: RuntimeError) -> bool:
    if isinstance(error, dist.DistError):
        return True
    text = str(error).lower()
    return any(sign in text for sign in _SIGNS)
