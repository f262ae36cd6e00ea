"""What decoding processes need to be trusted: signals, stalls and errors in one line."""

import multiprocessing
import os
import signal
import threading
from typing import Any, NamedTuple

import torch
from torch.utils.data import Dataset

from vlsuite.batches.batch import Batch
from vlsuite.batches.dataset import SampleDataset
from vlsuite.errors import LostContactError, UserError

_LOOK_EVERY = 1.0  # seconds
_LOST = ("DataLoader timed out", "exited unexpectedly", "is killed by signal")


class Failure(NamedTuple):
    """A user's error on its way from a worker: the text alone, without traceback."""

    message: str


class WorkerDataset(Dataset[Batch | Failure]):
    """Hands errors over as values; the loader would wrap them in several lines."""

    def __init__(self, dataset: SampleDataset) -> None:
        self._dataset = dataset

    def __getitems__(self, positions: list[int]) -> Batch | Failure:
        try:
            return self._dataset.__getitems__(positions)
        except UserError as error:
            return Failure(str(error))


def start_worker(_worker: int) -> None:
    """Set up a fresh worker: one thread; signals sent to all processes of a job are not for it.

    Schedulers and terminals send them to every process. The main process then wants to finish
    its step, for which it needs its workers; it ends them itself.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not hasattr(signal, "sigtimedwait"):
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True, name="signals").start()


def _follow(parent: Any) -> None:
    """End with the main process, or when it says so.

    torch's workers look after a killed main process too, but wait for ever to hand over batches
    that no one takes any more.
    """
    is_child = os.getppid() == parent.pid  # not where a fork server made this process
    while (os.getppid() == parent.pid) if is_child else parent.is_alive():
        sent = signal.sigtimedwait({signal.SIGTERM}, _LOOK_EVERY)
        if sent is not None and sent.si_pid == parent.pid:
            break
    os._exit(0)


def lost_worker(
    error: RuntimeError | ConnectionError | EOFError, *, timeout: float, was_reading: str
) -> LostContactError | None:
    """What a loader's error means in one line; None where it is not about a lost worker.

    Args:
        timeout: seconds that a batch may take.
        was_reading: what is known about it, for the message; may be empty.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    # a worker killed while it hands over a batch breaks the connection that it does so through
    was_cut = isinstance(error, ConnectionError | EOFError)
    if not was_cut and not any(part in text for part in _LOST):
        return None
    if "timed out" in text:
        return LostContactError(
            f"no batch came for {timeout:g} s{was_reading}; check the storage, or raise "
            "data.worker_timeout, then continue with --resume"
        )
    return LostContactError(
        f"a decoding process was lost: {text[:200]}{was_reading}; check memory (data.num_workers, "
        "data.prefetch), then continue with --resume"
    )
