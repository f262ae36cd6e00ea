"""A model family that is not in the package: trained, resumed, evaluated, stored, opened.

``tests/outside/points.py`` brings its own batch type with inputs of different sizes, a plain loss
without a logit scale, a capability and a task for it; no file of the package knows any of them.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from eval.report.record import TRAIN_COLUMNS, read_run
from tests.support.shards import picture, write_tar
from tests.support.warm_processes import command, exit_codes, start_ranks
from vlsuite.cli.main import main

OUTSIDE = Path(__file__).parents[1] / "outside" / "points.py"
NUM_SAMPLES = 40


def vlsuite(*arguments: object) -> int:
    return main([*map(str, arguments), "--import", str(OUTSIDE)])


def records(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == "train"]


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in records(run)]


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    rng = np.random.default_rng(0)
    members = []
    for number in range(NUM_SAMPLES):
        points = rng.random((rng.integers(1, 9), 2)).round(3).tolist()
        told = {} if number == 7 else {"points": points}
        members += [
            (f"{number:03}.png", picture(number)),
            (f"{number:03}.json", json.dumps({"uid": f"s{number}"} | told).encode()),
        ]
    folder = tmp_path_factory.mktemp("points")
    write_tar(folder / "points-000000.tar", members)
    return folder


@pytest.fixture(scope="module")
def two_processes(shards, tmp_path_factory) -> Path:
    """A finished run of 5 steps under ZeRO 1."""
    out = tmp_path_factory.mktemp("runs") / "two"
    train_in_two(out, shards)
    return out


def train_in_two(out: Path, shards: Path, *more: str) -> None:
    words = ["train", "points", "--out", out, "--set", f"data.train={shards}", *more]
    log = out.with_suffix(".log")
    ranks = start_ranks(2, command, [str(word) for word in (*words, "--import", OUTSIDE)], log=log)
    assert exit_codes(ranks) == [0, 0], log.read_text()[-3000:]


def test_trained_by_two_processes(two_processes):
    found = records(two_processes)
    assert [line["step"] for line in found] == [1, 2, 3, 4, 5]
    assert found[-1]["loss"] < found[0]["loss"]
    assert "logit_scale" not in found[0]
    assert set(found[0]["terms"]) == {"worst"}
    assert found[-1]["samples"]["skipped"] == {"no points": 1}


def test_resumed_exactly(two_processes, shards, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(two_processes, again)
    shutil.rmtree(again / "export")
    shutil.rmtree(again / "checkpoints" / "step_00000005")
    shutil.rmtree(again / "checkpoints" / "step_00000004")
    train_in_two(again, shards, "--resume")
    assert losses(again) == losses(two_processes)
    ours, theirs = (
        load_file(run / "export" / "points.safetensors") for run in (again, two_processes)
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_one_process_equals_two(shards, tmp_path):
    """Without dropout, whose masks belong to processes; fp32 sums in another order differ."""
    one, two = tmp_path / "one", tmp_path / "two"
    told = ("--set", "model.dropout=0")
    train_in_two(two, shards, *told)
    assert vlsuite("train", "points", "--out", one, "--set", f"data.train={shards}", *told) == 0
    np.testing.assert_allclose(losses(one), losses(two), rtol=1e-5)


def test_evaluated_with_its_own_capability(two_processes, shards, tmp_path, capsys):
    results = tmp_path / "results"
    told = ("--data", shards, "--task", "point_count", "--out", results, "--no-cache")
    assert vlsuite("eval", two_processes, *told) == 0
    (path,) = results.glob("*.json")
    stored = json.loads(path.read_text())
    assert stored["num_samples"] == NUM_SAMPLES - 1
    assert stored["scores"]["mean_absolute_error"]["value"] >= 0
    assert vlsuite("eval", two_processes, "--data", shards, "--task", "retrieval") == 2
    assert "error:" in capsys.readouterr().err


def test_stored_and_opened_again(two_processes, tmp_path, capsys):
    assert vlsuite("export", two_processes, "--step", 4, "--out", tmp_path / "out") == 0
    assert "the same sum of weights" in capsys.readouterr().out
    from vlsuite.models.opening import open_model

    sets = [torch.zeros(3, 2), torch.ones(5, 2)]
    assert open_model(str(tmp_path / "out")).count(sets).shape == (2,)
    assert open_model(str(two_processes)).count(sets).shape == (2,)
    assert (
        vlsuite("export", two_processes, "--format", "huggingface", "--out", tmp_path / "hf") == 2
    )
    assert "its forms: points" in capsys.readouterr().err


def test_reported_without_a_logit_scale(two_processes, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(two_processes, run)
    assert vlsuite("report", run) == 0
    assert "Training curves" in (run / "report.html").read_text()
    assert set(read_run(run).train) == set(TRAIN_COLUMNS)


def test_a_wrong_objective_is_one_line(shards, tmp_path, capsys):
    told = ("--set", f"data.train={shards}", "--set", "objective=clip")
    assert vlsuite("train", "points", "--out", tmp_path / "run", *told) == 2
    assert "model=points is trained with squared_error" in capsys.readouterr().err


def test_a_run_names_what_it_was_started_with(two_processes, tmp_path):
    config = json.loads((two_processes / "config.json").read_text())
    assert config["imports"] == [str(OUTSIDE)]
