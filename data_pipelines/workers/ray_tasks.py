"""Tasks on the nodes of a Ray cluster, by Ray Core alone.

A task whose node or process dies goes to another one; what it left is a hidden unfinished file. A
mistake of the user's (``UserError``) is the same on every node, and is not tried again.
"""

import os
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from data_pipelines.errors import ConfigError, DataError, UserError
from data_pipelines.shards.manifest import tool_version

T = TypeVar("T")
R = TypeVar("R")

#: Times that a task is tried again whose node or process died under it.
_RETRIES = 5

#: Tasks that run or wait in the cluster for each of its processors: none idles, a task that died
#: with its node does not wait behind many others, and a million of tasks need no memory.
_AHEAD = 2
_FEWEST_WAITING = 4
_COUNTED_EVERY = 8  # tasks; nodes come and go

_HOST_AND_PORT = re.compile(r"(?:ray://)?\[?(?P<host>[^/\[\]]+?)\]?:(?P<port>[0-9]{1,9})")
_ANSWERS_IN = 10.0  # seconds

#: What a source tree that is not installed says its version is.
_SOURCE_TREE = "unknown"

#: Of a cluster that is started here ("local"); tasks exchange words, not data.
_STORE_BYTES = 80_000_000


class _Outcome(NamedTuple):
    """What a task returned, or the mistake that it met in words."""

    result: Any = None
    mistake: str = ""


def run_on_ray(
    function: Callable[[T], R], tasks: Sequence[T], *, address: str, gpus: float = 0.0
) -> Iterator[tuple[int, R]]:
    """Number and result of each task, as they are finished.

    Args:
        address: as ``ray.init`` takes it; a cluster that this process is connected to already is
            used whatever it says, and stays connected.
        gpus: of each task.
    Raises:
        ConfigError: Ray is not installed.
        DataError: no cluster is at the address, or a task's process died each time.
        UserError: what a task raises.
    """
    ray = _imported()
    is_ours = not ray.is_initialized()
    if is_ours:
        _connect(ray, address)
    try:
        yield from _results(ray, function, tasks, gpus=gpus)
    finally:
        if is_ours:
            ray.shutdown()


def _imported() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # what Ray will do in a version to come, and says so otherwise
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "--ray needs the library ray; install the extra: pip install 'vlsuite[ray]'"
        ) from error
    return ray


def _connect(ray: Any, address: str) -> None:
    keep_quiet(ray)
    _refuse_deaf(address)
    own = {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
    try:
        ray.init(
            address=address,
            logging_level="error",
            log_to_driver=False,
            **(own if address == "local" else {}),
        )
    except (ConnectionError, ValueError, RuntimeError, TimeoutError, OSError) as error:
        raise _no_cluster(address, " ".join(str(error).split())[:200]) from error


def _refuse_deaf(address: str) -> None:
    """Refuse an address where nobody listens: Ray would go on asking for minutes."""
    found = _HOST_AND_PORT.fullmatch(address)
    if found is None:
        return
    try:
        socket.create_connection((found["host"], int(found["port"])), _ANSWERS_IN).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, getattr(error, "strerror", None) or str(error)) from error


def _no_cluster(address: str, told: str) -> DataError:
    return DataError(
        f"no Ray cluster at '{address}': {told}; start one by 'ray start --head' and name it as "
        "HOST:6379, or leave --ray out"
    )


def keep_quiet(ray: Any) -> None:
    """Keep what happens to nodes, and pages of their state, from standard output."""
    with suppress(AttributeError):
        ray._private.worker._worker_logs_enabled = False


def _results(
    ray: Any, function: Callable[[T], R], tasks: Sequence[T], *, gpus: float
) -> Iterator[tuple[int, R]]:
    call = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=_RETRIES)(_call)
    sent, version = ray.put(function), tool_version()
    waiting: dict[Any, int] = {}
    most = 0
    try:
        for number, task in enumerate(tasks):
            if number % _COUNTED_EVERY == 0:
                most = max(_FEWEST_WAITING, int(_AHEAD * ray.cluster_resources().get("CPU", 1)))
            waiting[call.remote(sent, task, version)] = number
            if len(waiting) >= most:
                yield from _done(ray, waiting, tasks)
        while waiting:
            yield from _done(ray, waiting, tasks)
    finally:
        for left in waiting:
            ray.cancel(left, force=True)


def _done(ray: Any, waiting: dict[Any, int], tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """Those that are finished, at least one; they do not wait any more."""
    ray.wait(list(waiting), num_returns=1)
    finished, _ = ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
    for reference in finished:
        number = waiting.pop(reference)
        try:
            outcome: _Outcome = ray.get(reference)
        except ray.exceptions.RayError as error:
            raise DataError(_told(error, tasks[number])) from error
        if outcome.mistake:
            raise DataError(outcome.mistake)
        yield number, outcome.result


def _told(error: Exception, task: Any) -> str:
    cause = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    said = lines[-1][:300] if lines else type(cause).__name__
    if "No module named" in said:
        return f"a node of the cluster cannot run the task: {said}; install vlsuite on every node"
    return (
        f"the cluster gave up on {task} after {_RETRIES} more tries: {said}; what is finished is "
        "kept: mend it and run it again"
    )


def _call(function: Callable[[Any], Any], task: Any, version: str) -> _Outcome:
    """On a node."""
    host, own = socket.gethostname(), tool_version()
    if own != version and _SOURCE_TREE not in (own, version):
        return _Outcome(
            mistake=f"vlsuite is {own} on {host} and {version} where the command runs; install one "
            "version on every node"
        )
    try:
        return _Outcome(function(task))
    except UserError as error:
        return _Outcome(mistake=f"{error} (on {host})")
