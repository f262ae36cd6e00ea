"""Tasks end once each wherever they run, and what goes wrong is said in one line."""

import operator
import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from data_pipelines.errors import ConfigError, DataError, ShardError
from data_pipelines.workers import ray_tasks
from data_pipelines.workers.share import Share
from data_pipelines.workers.spread import Workers, in_order, spread
from tests.support.fake_ray import FakeRay


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


def _on(ray, monkeypatch, function, tasks, address="auto"):
    monkeypatch.setitem(sys.modules, "ray", ray)
    return in_order(spread(function, tasks, workers=Workers(ray=address)))


def test_ray_gets_all_tasks_a_few_at_a_time(monkeypatch):
    ray = FakeRay()
    assert _on(ray, monkeypatch, _half, range(20, 420)) == [n / 2 for n in range(20, 420)]
    assert ray.calls == 400
    assert ray.most == ray_tasks._FEWEST_WAITING
    assert ray.address is None


def test_mistakes_and_dead_tasks_on_ray_end_in_one_line(monkeypatch):
    ray = FakeRay()
    with pytest.raises(DataError, match=r"^13 cannot be halved; leave it out \(on "):
        _on(ray, monkeypatch, _half, range(40))
    assert ray.cancelled
    assert ray.address is None
    with pytest.raises(DataError, match="gave up on 7 after 5 more tries: The node is gone"):
        _on(FakeRay(always_dies=[7]), monkeypatch, _half, range(10))
    with pytest.raises(DataError, match=r"no Ray cluster at 'nowhere'.*ray start --head"):
        _on(FakeRay(), monkeypatch, _half, range(10), address="nowhere")
    with pytest.raises(DataError, match=r"no Ray cluster at '127.0.0.1:1': "):
        _on(FakeRay(), monkeypatch, _half, range(10), address="127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"vlsuite\[ray\]"):
        list(spread(_half, range(3), workers=Workers(ray="auto")))


def test_nodes_of_another_version_are_refused(monkeypatch):
    versions = iter(["1.0", *["1.1"] * 9])
    monkeypatch.setattr(ray_tasks, "tool_version", lambda: next(versions))
    with pytest.raises(DataError, match=r"is 1.1 on .* and 1.0 where the command runs"):
        _on(FakeRay(), monkeypatch, str, [Path("a")])
