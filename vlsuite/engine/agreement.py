"""What all processes must know before a step, so that they act alike.

A signal reaches processes at different moments, only one of them watches the clock, and each
sees only its own bad samples. One small sum over all processes a step settles the three.
"""

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

import torch
from torch import distributed as dist

from vlsuite.batches.batch import Batch
from vlsuite.engine.distributed import Context

#: SIGTERM: batch systems before they take the machine away. SIGUSR1: Slurm's --signal=USR1@120.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class WaitInterruptedError(BaseException):
    """A stop signal came while nothing was being computed.

    No ``Exception``: it may be raised anywhere in the reading of a sample, where it must not be
    taken for a fault of that sample.
    """


class StopRequest:
    """Whether this process was asked to stop; a step that is being computed is always finished.

    Attributes:
        reason: the signal's name, or what :meth:`ask` was told; None: go on.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._may_interrupt = False

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Leave the block at once when a stop signal comes, or came before.

        For a wait that may be long and leaves the state as it is. Of several processes, each goes
        on to ``agree`` then, where the others meet it.

        Raises:
            WaitInterruptedError: one came.
        """
        self._may_interrupt = True
        try:
            if self.reason is not None:
                raise WaitInterruptedError
            yield
        finally:
            self._may_interrupt = False

    @contextmanager
    def listening(self) -> Iterator["StopRequest"]:
        """Take note of stop signals inside the block instead of dying of them."""
        before = {number: signal.signal(number, self._note) for number in STOP_SIGNALS}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def ask(self, reason: str) -> None:
        """Stop as after SIGTERM; from any thread, while this listens."""
        self.reason = reason
        # to the main thread by name: only there does it interrupt a wait
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.reason = self.reason or signal.Signals(number).name
        if self._may_interrupt:
            self._may_interrupt = False  # once: what cleans up after it is not interrupted
            raise WaitInterruptedError


class Alarm:
    """Due once every so many minutes; the first process's clock counts for all."""

    def __init__(self, minutes: float | None) -> None:
        self._seconds = None if minutes is None else minutes * 60
        self._last = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether the time is over."""
        return self._seconds is not None and time.monotonic() - self._last >= self._seconds

    def restart(self) -> None:
        """Begin the next span now."""
        self._last = time.monotonic()


class Agreed(NamedTuple):
    """Known to every process: somebody was asked to stop, the alarm is due, samples skipped."""

    stop: bool
    save: bool
    num_skipped: int


def agree(
    ctx: Context, *, stop: StopRequest, alarm: Alarm, micro_batches: Sequence[Batch]
) -> Agreed:
    """Share the facts of the next step; every process calls, before every step.

    Args:
        micro_batches: of this process; their replaced samples are counted. Empty where it was asked
            to stop before it had them: then ``stop`` is true everywhere and no step follows.
    """
    num_skipped = sum(len(batch.unusable) for batch in micro_batches)
    is_due = ctx.is_first and alarm.is_due
    facts = torch.tensor(
        [stop.reason is not None, is_due, num_skipped], dtype=torch.int64, device=ctx.device
    )
    if ctx.world_size > 1:
        dist.all_reduce(facts)
    stops, saves, skipped = facts.tolist()
    return Agreed(stops > 0, saves > 0, skipped)
