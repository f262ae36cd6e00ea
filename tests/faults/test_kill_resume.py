"""The short form of ``python -m benchmarks.kill_resume``: kills, other processes and stages."""

import json
import sys

from benchmarks import kill_resume
from tests.support import warm_processes

_WORDS = ("--kills=2", "--steps=14", "--stages=1,3", "--seed=1")


def test_killed_runs_end_as_if_nothing_had_happened(monkeypatch, capsys):
    warm_processes.ensure_server()
    for name, value in {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["kill_resume", *_WORDS])
    monkeypatch.setattr(kill_resume, "_cold_restart", lambda _reference: None)  # only a figure
    monkeypatch.setattr(kill_resume, "_warm_up", lambda _settings: None)  # for figures too
    kill_resume.main()
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["kills"] == figures["identical_loss"] == figures["uids_exactly_once"] == 2
    assert len(figures["elastic_max_loss_diff"]) == 3
    assert max(figures["elastic_max_loss_diff"].values()) < 1e-5
