"""Notices that the launcher which started this process is gone: nobody would end the run then.

torchrun and DeepSpeed's launcher end the processes they started when they are asked to stop or
when one of them fails, but not when they are killed themselves (SIGKILL, out of memory).
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

#: Set by torchrun and by DeepSpeed's launcher for the processes they start.
_VARIABLES = ("TORCHELASTIC_RUN_ID", "CROSS_RANK")
_LOOK_EVERY = 1.0  # seconds


@cache
def launcher_process() -> int | None:
    """Process id of the parent where it is a launcher; looked up once, best when a command starts.

    A shell, ``nohup`` or ``setsid`` between the two would inherit the launcher's variables; a
    parent that has them itself, or the first process, is therefore none.
    """
    name = next((name for name in _VARIABLES if name in os.environ), None)
    parent = os.getppid()
    if name is None or parent == 1:
        return None
    try:
        inherited = Path(f"/proc/{parent}/environ").read_bytes().split(b"\0")
    except OSError:  # no /proc here, or another user's process
        return parent
    return None if any(entry.startswith(f"{name}=".encode()) for entry in inherited) else parent


@contextmanager
def watched(gone: Callable[[], None], *, launcher: int | None) -> Iterator[None]:
    """Call ``gone`` from another thread, once, if the launcher ends while the block runs.

    Args:
        gone: must be safe in any thread.
        launcher: its process id; None (not started by one) watches nothing.
    """
    if launcher is None:
        yield
        return
    ended = threading.Event()
    words = (launcher, gone, ended)
    thread = threading.Thread(target=_watch, args=words, name="launcher", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _watch(launcher: int, gone: Callable[[], None], ended: threading.Event) -> None:
    while not ended.is_set():
        if os.getppid() != launcher:
            gone()
            return
        ended.wait(_LOOK_EVERY)
