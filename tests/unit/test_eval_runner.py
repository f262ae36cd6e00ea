import json
from pathlib import Path

import pytest

from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.errors import EvaluationError
from eval.results import load_result
from eval.running.runner import SUPERSEDED, Finished, run_benchmarks
from eval.running.selection import benchmarks_for
from eval.task_choices import TaskChoices
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import captioned, labelled, write_evaluation_folder

NAMES = ("cat", "dog", "boat")
EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=8, workers=1))


def _data(root: Path) -> list[str]:
    both = [
        {**s, "txt": f"caption {i}\nother {i}".encode()}
        for i, s in enumerate(labelled(12, num_classes=3))
    ]
    write_evaluation_folder(root / "classes", both, class_names=NAMES)
    write_evaluation_folder(root / "pairs", captioned([[f"text {i}"] for i in range(9)]))
    return [str(root / "classes"), str(root / "pairs")]


def _run(model: SmallClip, data: list[str], out: Path, **request) -> list[Finished]:
    benchmarks = benchmarks_for(data, choices=TaskChoices(**{"num_examples": 2, **request}))
    return run_benchmarks(model, benchmarks, embedder=EMBEDDER, out_dir=out)


def test_one_file_a_benchmark(tmp_path: Path) -> None:
    finished = _run(SmallClip(), _data(tmp_path), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "small-clip__classes__test__zero_shot.json",
        "small-clip__pairs__test__retrieval.json",
    ]
    for outcome in finished:
        assert not outcome.was_there
        assert load_result(outcome.path) == outcome.result
        assert len(outcome.result.origin.config_hash) == 64
        assert outcome.result.examples


def test_finished_results_are_kept(tmp_path: Path) -> None:
    data = _data(tmp_path)
    _run(SmallClip(), data, tmp_path / "out")
    stored = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    (tmp_path / "out" / "small-clip__pairs__test__retrieval.json").unlink()

    model = SmallClip()
    finished = _run(model, data, tmp_path / "out")

    assert [outcome.was_there for outcome in finished] == [True, False]
    assert sum(model.image_batch_sizes) == 9 + 1  # the pairs, and the probe
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == stored


@pytest.mark.parametrize("change", ["weights", "settings", "broken file"])
def test_other_results_are_measured_anew_and_the_old_set_aside(tmp_path: Path, change: str) -> None:
    data = _data(tmp_path)[1:]
    (first,) = _run(SmallClip(), data, tmp_path / "out")
    if change == "broken file":
        first.path.write_text("{")
    old = first.path.read_bytes()

    model = SmallClip(seed=5 if change == "weights" else 0)
    (second,) = _run(model, data, tmp_path / "out", seed=3 if change == "settings" else 0)

    assert not second.was_there
    (aside,) = (tmp_path / "out" / SUPERSEDED).iterdir()
    assert aside.read_bytes() == old


def test_tasks_on_the_same_data_share_one_pass(tmp_path: Path) -> None:
    data = _data(tmp_path)[:1]
    benchmarks = benchmarks_for(data, tasks=("zero_shot", "retrieval"))
    model = SmallClip()
    finished = run_benchmarks(model, benchmarks, embedder=EMBEDDER, out_dir=tmp_path / "out")
    assert [outcome.result.benchmark for outcome in finished] == ["zero_shot", "retrieval"]
    assert sum(model.image_batch_sizes) == 12 + 1
    assert finished[1].result.details["num_captions"] == 24


def test_environment_is_stored(tmp_path: Path) -> None:
    (outcome,) = run_benchmarks(
        SmallClip(),
        benchmarks_for(_data(tmp_path)[1:]),
        embedder=EMBEDDER,
        out_dir=tmp_path / "out",
        environment={"commit": "abc"},
    )
    assert json.loads(outcome.path.read_text())["origin"]["environment"] == {"commit": "abc"}


def test_two_data_sets_of_one_name_are_refused(tmp_path: Path) -> None:
    first = write_evaluation_folder(tmp_path / "x" / "d", captioned([["a"]]))
    second = write_evaluation_folder(tmp_path / "y" / "d", captioned([["b"]]))
    with pytest.raises(EvaluationError, match="different names"):
        _run(SmallClip(), [str(first), str(second)], tmp_path / "out")
