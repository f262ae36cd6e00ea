"""A node of a Ray cluster on this machine that is killed while it is at a task."""

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.support.lone_files import left_alone
from data_pipelines.texts import counted
from data_pipelines.workers.spread import Finished

_SEEN_WITHIN = 10.0  # seconds
_LOOK_EVERY = 0.01

#: What Ray calls a process by the function of its task.
_AT_A_TASK = b"ray::_call"


class DyingNode:
    """A node that joins a cluster for one piece of work, and is killed in its midst.

    Args:
        cluster: of ``ray.cluster_utils``.
        own: arguments of the node.
        parts: folder in which unfinished files of tasks show which ones die, whose ``part`` their
            result names; None: tasks open no file before their end, so that the busy processes of
            the node are counted and no recovery is timed.
    Attributes:
        tasks: of the work.
        finished: those whose results came.
        lost: tasks that died with the node.
        recovered_s: from the kill to the result of the last of them.
    """

    def __init__(self, cluster: Any, own: dict[str, Any], parts: Path | None = None) -> None:
        self._cluster, self._parts = cluster, parts
        self._node = cluster.add_node(**own)
        cluster.wait_for_nodes()
        self._lost_parts: set[str] = set()
        self._killed_at: float | None = None
        self._is_over = False
        self.tasks = self.finished = self.lost = 0
        self.recovered_s: float | None = None

    @property
    def is_killed(self) -> bool:
        """Whether the kill has come."""
        return self._killed_at is not None

    def watched(self, work: Iterable[Finished]) -> Iterator[Finished]:
        """As ``progress`` of the work: the node is killed beside it, which is not held up."""
        self.tasks = len(work) if isinstance(work, Sized) else 0
        watcher = threading.Thread(target=self._kill_amid, daemon=True)
        watcher.start()
        for one in work:
            self.finished += 1
            if self._lost_parts and one.result.part in self._lost_parts:
                self.recovered_s = time.perf_counter() - (self._killed_at or 0.0)
            yield one
        self._is_over = True
        watcher.join()

    def _kill_amid(self) -> None:
        """Kill the node as soon as it is at a task, if it ever is."""
        before = left_alone(self._parts) if self._parts else set()
        while not self._is_amid():
            if self._is_over:
                return
            time.sleep(_LOOK_EVERY)
        self.lost = len(self._busy())
        self._killed_at = time.perf_counter()
        self._cluster.remove_node(self._node, allow_graceful=False)
        if self._parts:
            while not self._lost_parts and time.perf_counter() < self._killed_at + _SEEN_WITHIN:
                time.sleep(10 * _LOOK_EVERY)
                self._lost_parts = left_alone(self._parts) - before
            self.lost = len(self._lost_parts)
        print(f"killed a node amid {counted(self.lost, 'task')}", file=sys.stderr, flush=True)

    def _is_amid(self) -> bool:
        if self._parts and len(list(self._parts.glob(".*.unfinished"))) < 2:
            return False  # until both nodes are amid a shard
        return bool(self._busy())

    def _busy(self) -> list[int]:
        """Processes of the node that are at a task."""
        (raylet,) = self._node.all_processes["raylet"]
        found = []
        for process in map(int, filter(str.isdigit, os.listdir("/proc"))):
            with suppress(OSError):
                stat = Path(f"/proc/{process}/stat").read_text()
                name = Path(f"/proc/{process}/cmdline").read_bytes()
                parent = int(stat.rpartition(")")[2].split()[1])
                if parent == raylet.process.pid and name.startswith(_AT_A_TASK):
                    found.append(process)
        return found
