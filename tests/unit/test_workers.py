"""Tasks end once each wherever they run, and what goes wrong is said in one line."""

import operator
import os
import signal
import sys
import types
from functools import partial
from pathlib import Path

import pytest

from data_pipelines.errors import ConfigError, DataError, ShardError
from data_pipelines.workers import ray_tasks
from data_pipelines.workers.share import Share
from data_pipelines.workers.spread import Workers, in_order, spread


def _half(number):
    if number == 13:
        raise ShardError("13 cannot be halved; leave it out")
    return number / 2


def _killed(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_one_process_is_this_one():
    done = spread(lambda number: (number, os.getpid()), range(4), workers=Workers())
    assert len(done) == 4
    assert in_order(done) == [(number, os.getpid()) for number in range(4)]


def test_processes_take_all_tasks_once_and_pass_on_mistakes():
    two = Workers(processes=2)
    assert in_order(spread(partial(operator.mul, 3), range(40), workers=two)) == list(
        range(0, 120, 3)
    )
    with pytest.raises(DataError, match=r"one of 2 processes was killed.*fewer --workers"):
        list(spread(_killed, range(8), workers=two))


def test_shares_are_all_tasks_once():
    tasks = list(range(17))
    shares = [Share(rank=rank, world=5).of(tasks) for rank in range(5)]
    assert sorted(task for share in shares for task in share) == tasks
    assert list(Share(rank=3, world=40).of(tasks)) == [3]
    with pytest.raises(ConfigError, match="ranks run from 0 to world - 1"):
        Share(rank=5, world=5)


class _Ray(types.ModuleType):
    """Ray as far as the tasks name it; some tasks take every node down."""

    def __init__(self, *, always_dies=(), cpus=2):
        super().__init__("ray")
        self.exceptions = types.SimpleNamespace(RayError=_RayError)
        self.always_dies, self.cpus = set(always_dies), cpus
        self.most = self.calls = 0
        self.cancelled, self.waiting, self.address = [], set(), None

    def is_initialized(self):
        return False

    def init(self, address, **_):
        if address == "nowhere":
            raise ConnectionError("Could not find any running Ray instance.")
        self.address = address

    def shutdown(self):
        self.address = None

    def cluster_resources(self):
        return {"CPU": self.cpus}

    def put(self, thing):
        return thing

    def remote(self, num_cpus, num_gpus, max_retries):
        def decorated(function):
            def call(*args):
                self.calls += 1
                reference = (self.calls, function, args)
                self.waiting.add(reference)
                self.most = max(self.most, len(self.waiting))
                return reference

            return types.SimpleNamespace(remote=call)

        return decorated

    def wait(self, references, num_returns, timeout=None):
        last_first = sorted(references, reverse=True)[: 1 if timeout is None else 3]
        return last_first, [one for one in references if one not in last_first]

    def get(self, reference):
        _, function, args = reference
        self.waiting.discard(reference)
        if args[1] in self.always_dies:
            raise _RayError("The worker died unexpectedly.\nThe node is gone.")
        return function(*args)

    def cancel(self, reference, force):
        self.cancelled.append(reference)


class _RayError(Exception):
    pass


def _on(ray, monkeypatch, function, tasks, address="auto"):
    monkeypatch.setitem(sys.modules, "ray", ray)
    return in_order(spread(function, tasks, workers=Workers(ray=address)))


def test_ray_gets_all_tasks_a_few_at_a_time(monkeypatch):
    ray = _Ray()
    assert _on(ray, monkeypatch, _half, range(20, 420)) == [n / 2 for n in range(20, 420)]
    assert ray.calls == 400
    assert ray.most == ray_tasks._FEWEST_WAITING
    assert ray.address is None


def test_mistakes_and_dead_tasks_on_ray_end_in_one_line(monkeypatch):
    ray = _Ray()
    with pytest.raises(DataError, match=r"^13 cannot be halved; leave it out \(on "):
        _on(ray, monkeypatch, _half, range(40))
    assert ray.cancelled
    assert ray.address is None
    with pytest.raises(DataError, match="gave up on 7 after 5 more tries: The node is gone"):
        _on(_Ray(always_dies=[7]), monkeypatch, _half, range(10))
    with pytest.raises(DataError, match=r"no Ray cluster at 'nowhere'.*ray start --head"):
        _on(_Ray(), monkeypatch, _half, range(10), address="nowhere")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"vlsuite\[ray\]"):
        list(spread(_half, range(3), workers=Workers(ray="auto")))


def test_nodes_of_another_version_are_refused(monkeypatch):
    versions = iter(["1.0", *["1.1"] * 9])
    monkeypatch.setattr(ray_tasks, "tool_version", lambda: next(versions))
    with pytest.raises(DataError, match=r"is 1.1 on .* and 1.0 where the command runs"):
        _on(_Ray(), monkeypatch, str, [Path("a")])
