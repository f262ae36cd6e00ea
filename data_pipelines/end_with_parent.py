"""Processes of a pool end with the process that made them, also when it is killed.

They would wait for work for ever otherwise: each of them holds both ends of the queue of work, so
that none sees it close.
"""

import os
import threading
import time
from multiprocessing.process import parent_process
from typing import Any

_LOOK_EVERY = 1.0  # seconds


def end_with_parent() -> None:
    """Begin to look after the parent; for the ``initializer`` of a pool of processes."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), name="parent", daemon=True).start()


def _follow(parent: Any) -> None:
    is_child = os.getppid() == parent.pid  # not where a fork server made this process
    while (os.getppid() == parent.pid) if is_child else parent.is_alive():
        time.sleep(_LOOK_EVERY)
    os._exit(1)
