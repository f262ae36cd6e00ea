"""One function over many tasks, by processes of this machine or by a Ray cluster.

Tasks know nothing of each other and their outputs are files that appear whole, so that a task that
ran twice, or stopped half-way, does no harm. Results come as they are finished.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from data_pipelines.workers.local_pool import run_in_pool
from data_pipelines.workers.ray_tasks import run_on_ray

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Workers:
    """Where tasks run.

    Args:
        processes: of this machine; 1: this process itself.
        ray: address of a Ray cluster that takes the tasks instead, as ``ray.init`` reads it
            ("auto", "10.0.0.1:6379", "ray://host:10001"; "local" starts one here); empty: none.
        gpus: of one task on Ray.
    """

    processes: int = 1
    ray: str = ""
    gpus: float = 0.0


class Finished(NamedTuple):
    """A task that is done; ``number`` is its place among all."""

    number: int
    result: Any


class Spread:
    """What tasks return, in the order in which they are finished; its length is their number."""

    def __init__(self, results: Iterable[tuple[int, Any]], length: int) -> None:
        self._results = results
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Finished]:
        for number, result in self._results:
            yield Finished(number, result)


def spread(function: Callable[[T], Any], tasks: Sequence[T], *, workers: Workers) -> Spread:
    """Apply a function to all tasks; nothing is done before the answer is iterated over.

    Args:
        function: of a module, or ``functools.partial`` of one; it goes to each process once.
        tasks: small, such as paths. On Ray, paths must be absolute.
    Raises:
        UserError: what a task raises, at once; the other tasks are then given up.
        DataError: a process was killed, or the cluster cannot be used.
        ConfigError: Ray is not installed.
    """
    if workers.ray:
        results = run_on_ray(function, tasks, address=workers.ray, gpus=workers.gpus)
    elif workers.processes > 1 and len(tasks) > 1:
        results = run_in_pool(function, tasks, processes=min(workers.processes, len(tasks)))
    else:
        results = enumerate(map(function, tasks))
    return Spread(results, len(tasks))


def in_order(finished: Iterable[Finished]) -> list[Any]:
    """All results in the order of their tasks."""
    return [one.result for one in sorted(finished, key=lambda one: one.number)]
