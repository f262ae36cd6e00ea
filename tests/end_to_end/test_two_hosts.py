"""Two hosts on one machine: the link is cut in mid-run, both notice, the run continues.

Only the run that is cut has torchrun on both hosts; the one it is compared with and the one that
continues it are forked from the warm server into the hosts.
"""

import ctypes
import os
import sys

import pytest

from benchmarks import two_hosts
from benchmarks.support.real_runs import rank_environment
from tests.support.warm_processes import command, exit_codes, start

_CLONE_NEWNET = 0x40000000  # linux/sched.h
_PORT = 29572


class _Forked:
    """What the benchmark asks of a launcher."""

    def __init__(self, process):
        self._process = process

    def wait(self, timeout):
        return exit_codes([self._process], timeout=timeout)[0]


def _train_in(host, words):
    """In the new process: enter the network namespace, then train."""
    place = os.open(f"/var/run/netns/{host}", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(place, _CLONE_NEWNET):
        sys.exit(f"cannot enter the network namespace {host}: {os.strerror(ctypes.get_errno())}")
    command(words)


def _fork(settings, hosts, folder, name):
    started = []
    for number, host in enumerate(hosts.names):
        variables = rank_environment(number, 2, _PORT) | {
            "LOCAL_RANK": "0",
            "MASTER_ADDR": hosts.addresses[0],
            "GLOO_SOCKET_IFNAME": hosts.interface,
        }
        log = folder / f"{name}-{number}.log"
        process = start(_train_in, host, settings.arguments(), log=log, environment=variables)
        started.append(_Forked(process))
    return tuple(started)


def _start_with(launch):
    def start_run(settings, hosts, folder, name):
        return (launch if name == "cut" else _fork)(settings, hosts, folder, name)

    return start_run


def test_a_cut_link_is_noticed_and_the_run_continues(tmp_path, monkeypatch):
    reason = two_hosts.why_not_permitted()
    if reason:
        pytest.skip(reason)
    monkeypatch.setattr(two_hosts, "_start", _start_with(two_hosts._start))
    outcome = two_hosts.measure(tmp_path, steps=30, cut_at=10, limit=5.0, seed=0)
    assert outcome.messages == (True, True)
    assert all(code != 0 for code in outcome.codes)
    assert max(outcome.detected_s) < 5.0 + 30.0
    assert outcome.continued_identical
