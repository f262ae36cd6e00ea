"""A perturbing run killed in the middle loses and repeats no caption."""

import time
from pathlib import Path

from eval.xmai.attack import AttackPlan, run_attack
from tests.support.insertion_run import MadeCaptions, build, build_slow
from tests.support.warm_processes import start

_PICTURES = 96


def plan(out: Path, make=build_slow) -> AttackPlan:
    """A run of a few seconds."""
    return AttackPlan(
        source=MadeCaptions(_PICTURES),
        build=make,
        settings={"method": "xmai"},
        out=out,
        pictures_per_chunk=2,
    )


def _attack(out: Path) -> None:
    run_attack(plan(out))


def test_killed_and_started_again(tmp_path: Path) -> None:
    whole = run_attack(plan(tmp_path / "whole", build)).read_bytes()
    out = tmp_path / "killed"
    process = start(_attack, out)
    num_done = _wait_for_chunks(out / "chunks", 5)
    process.kill()
    process.join()
    assert 5 <= num_done < _PICTURES // 2
    assert not (out / "perturbed.jsonl").exists()
    assert run_attack(plan(out)).read_bytes() == whole
    assert sorted(path.name for path in out.iterdir()) == ["perturbed.jsonl", "state.json"]


def _wait_for_chunks(folder: Path, wanted: int) -> int:
    for _ in range(6000):
        count = len(list(folder.glob("*.jsonl"))) if folder.is_dir() else 0
        if count >= wanted:
            return count
        time.sleep(0.01)
    raise AssertionError(f"no {wanted} chunks in {folder} within a minute")
