"""The runner: equal files for any number of processes, no mixing of runs, honest headers."""

from dataclasses import replace
from pathlib import Path

import pytest

from eval.errors import EvaluationError
from eval.xmai.attack import AttackPlan, run_attack
from eval.xmai.records import read_perturbed
from tests.support.insertion_run import MadeCaptions, build


def _plan(out: Path, **changes) -> AttackPlan:
    plan = AttackPlan(source=MadeCaptions(50), build=build, settings={"method": "xmai"}, out=out)
    return replace(plan, **{"pictures_per_chunk": 4} | changes)


def test_three_processes_write_the_bytes_of_one(tmp_path: Path) -> None:
    one = run_attack(_plan(tmp_path / "one"))
    three = run_attack(_plan(tmp_path / "three", workers=3))
    assert one.read_bytes() == three.read_bytes()
    found = read_perturbed(one)
    assert [caption.id for caption in found.captions] == [
        f"picture-{i}#{n}" for i in range(50) for n in range(1 + i % 3)
    ]
    assert all(caption.is_changed for caption in found.captions)
    assert all(caption.restored() == caption.original for caption in found.captions)
    assert found.header["models"]["scorer"]["fingerprint"] == "1"


def test_goes_on_from_finished_chunks(tmp_path: Path) -> None:
    whole = run_attack(_plan(tmp_path / "whole")).read_bytes()
    out = tmp_path / "resumed"
    path = run_attack(_plan(out))
    chunks = out / "chunks"
    assert not chunks.exists()
    path.unlink()
    chunks.mkdir()
    (chunks / ".000003.jsonl.unfinished").write_bytes(b"half a li")
    assert run_attack(_plan(out)).read_bytes() == whole


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    path = run_attack(_plan(tmp_path))
    before = path.stat().st_mtime_ns
    run_attack(_plan(tmp_path))
    assert path.stat().st_mtime_ns == before


def test_refuses_another_run_in_the_same_folder(tmp_path: Path) -> None:
    run_attack(_plan(tmp_path))
    with pytest.raises(EvaluationError, match=r"settings\.seed was None, is 1"):
        run_attack(_plan(tmp_path, settings={"method": "xmai", "seed": 1}))
    other = MadeCaptions(50, {"name": "made", "revision": "1"})
    with pytest.raises(EvaluationError, match=r"data\.revision was 0, is 1"):
        run_attack(_plan(tmp_path, source=other))


def test_no_captions_make_an_empty_file(tmp_path: Path) -> None:
    path = run_attack(_plan(tmp_path, source=MadeCaptions(0)))
    assert read_perturbed(path).captions == ()
