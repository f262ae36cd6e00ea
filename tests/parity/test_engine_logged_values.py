"""A line of the log tells what its own step was computed with, in all three places."""

import json
import math
import re
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.support.runs import make_shards, run_to_end, small_config
from vlsuite.engine import state as engine_state
from vlsuite.engine.run_folder import RunFolder

LR, WARMUP, STEPS = 1e-3, 3, 7
SETTINGS = (f"optim.warmup_steps={WARMUP}", f"duration={STEPS}steps", "checkpoint.every=4steps")

#: Linear from lr / warm-up, then half a cosine: open_clip's schedule, written out.
RATES = [LR * k / WARMUP for k in range(1, WARMUP + 1)] + [
    LR * 0.5 * (1 + math.cos(math.pi * k / (STEPS - WARMUP))) for k in range(STEPS - WARMUP)
]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("logged"))


def _lines(folder: Path) -> list[dict]:
    text = (folder / "metrics.jsonl").read_text()
    return [line for line in map(json.loads, text.splitlines()) if line["kind"] == "train"]


def _on_the_board(folder: Path, name: str) -> list[tuple[int, float]]:
    board = EventAccumulator(str(RunFolder(folder).tensorboard))
    board.Reload()
    return [(event.step, event.value) for event in board.Scalars(name)]


@pytest.mark.parametrize("overrides", [(), ("micro_batch_size=4",)])
def test_the_rate_on_a_line_is_the_one_of_its_step(
    shards: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    overrides: tuple[str, ...],
) -> None:
    """Under accumulation too; ``used`` is what the optimizer was really given."""
    used: list[float] = []

    def spied(optimizer: object, rate: float) -> None:
        used.append(rate)
        given(optimizer, rate)

    given = engine_state.set_learning_rate
    monkeypatch.setattr(engine_state, "set_learning_rate", spied)
    run_to_end(small_config(shards, *SETTINGS, *overrides), tmp_path / "run")
    lines = _lines(tmp_path / "run")
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert [line["learning_rate"] for line in lines] == pytest.approx(RATES)
    assert used[::2] == used[1::2] == pytest.approx(RATES)  # of the towers, of the objective
    shown = re.findall(r"^step (\d+)/.* lr (\S+)", capsys.readouterr().err, flags=re.MULTILINE)
    assert [(int(step), float(rate)) for step, rate in shown] == [
        (k + 1, pytest.approx(rate, rel=5e-3, abs=1e-12)) for k, rate in enumerate(RATES)
    ]
    board = _on_the_board(tmp_path / "run", "train/learning_rate")
    assert [step for step, _ in board] == list(range(1, STEPS + 1))
    assert [rate for _, rate in board] == pytest.approx(RATES, rel=1e-6)


def test_a_resumed_run_logs_what_the_undisturbed_one_does(shards: Path, tmp_path: Path) -> None:
    """Resumed at step 4, one after the end of the warm-up, and logged every second step."""
    every = "logging.every=2steps"
    run_to_end(small_config(shards, *SETTINGS, every), tmp_path / "whole")
    settings = (*SETTINGS, every, "checkpoint.keep=5")
    run_to_end(small_config(shards, *settings), tmp_path / "parts")
    folder = RunFolder(tmp_path / "parts")
    last = folder.checkpoints / f"step_{STEPS:08d}"
    last.rename(tmp_path / "away")
    run_to_end(small_config(shards, *settings), tmp_path / "parts")
    whole, parts = _lines(tmp_path / "whole"), _lines(tmp_path / "parts")
    assert [line["step"] for line in whole] == [2, 4, 6, STEPS]
    assert [line["learning_rate"] for line in whole] == pytest.approx(
        [RATES[line["step"] - 1] for line in whole]
    )
    for name in ("step", "samples_seen", "learning_rate", "logit_scale", "loss"):
        assert [line[name] for line in parts] == [line[name] for line in whole], name


def test_scalars_are_those_that_the_loss_was_computed_with(shards: Path, tmp_path: Path) -> None:
    """The first loss sees the scale that runs start with, 1 / 0.07; the model has the next one."""
    state, _ = run_to_end(small_config(shards, *SETTINGS), tmp_path / "run")
    lines = _lines(tmp_path / "run")
    assert lines[0]["logit_scale"] == pytest.approx(1 / 0.07)
    assert lines[0]["samples_seen"] == 16
    scales = [line["logit_scale"] for line in lines]
    assert len(set(scales)) == STEPS
    assert state.objective.scalars()["logit_scale"] != scales[-1]
