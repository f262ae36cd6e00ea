"""A task from outside the package, with options and an annotation of its own."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_pipelines import plugins
from eval.results import load_result
from eval.task_choices import task_options
from eval.tasks import registry
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import noise_png, write_tar
from vlsuite.cli.main import main

TASK = Path(__file__).parents[1] / "outside" / "counting.py"
NUM_PICTURES = 9


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is registered here is gone after each test."""
    monkeypatch.setattr(plugins, "_imported", {})
    monkeypatch.setattr(
        "eval.opening.open_model", lambda spec, *, device, settings=(): SmallClip(name=spec)
    )
    yield
    for known in (registry, task_options):
        known._entries.pop("counting", None)


def _shard(path: Path, *, boxes: int = 1) -> Path:
    """Pictures with captions; every third has no boxes, one has broken ones."""
    samples = []
    for i in range(NUM_PICTURES):
        fields = {"boxes": [[0, 0, 2, 2]] * (boxes + i % 3 - 1)} if i else {"boxes": [3]}
        samples.append(
            {"png": noise_png(i), "txt": b"a picture", "json": json.dumps(fields).encode()}
        )
    return write_tar(path, samples)


def _evaluate(tmp_path: Path, shard: Path, *arguments: str, out: str = "out") -> int:
    where = ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / out)]
    command = ["eval", "RN50:openai", "--import", str(TASK), "--data", str(shard)]
    return main([*command, *where, *arguments])


def test_it_is_measured_listed_and_titled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = _shard(tmp_path / "boxes.tar")
    settings = ["--set", "counting.largest=3", "--set", "counting.prompt={n} stains"]
    assert _evaluate(tmp_path, shard, "--task", "counting", *settings) == 0
    assert "numbers told, %" in capsys.readouterr().out
    result = load_result(tmp_path / "out" / "RN50-openai__boxes__all__counting.json")
    assert result.num_samples == 6
    assert result.details["left_out"] == {"no boxes": 3}
    assert result.details["prompt"] == "{n} stains"

    assert main(["eval", "--import", str(TASK), "--list-tasks"]) == 0
    listed = capsys.readouterr().out
    assert "counting           Share of pictures whose number of things is told." in listed
    assert "  counting.largest=5" in listed


def test_its_neighbours_keep_their_rows_and_revision(tmp_path: Path) -> None:
    shard = _shard(tmp_path / "boxes.tar")
    assert _evaluate(tmp_path, shard, "--task", "retrieval", out="alone") == 0
    assert _evaluate(tmp_path, shard, "--task", "counting", "--task", "retrieval") == 0
    name = "RN50-openai__boxes__all__retrieval.json"
    alone, beside = load_result(tmp_path / "alone" / name), load_result(tmp_path / "out" / name)
    assert alone.scores == beside.scores
    assert alone.origin.config_hash == beside.origin.config_hash
    counted = load_result(tmp_path / "out" / "RN50-openai__boxes__all__counting.json")
    assert counted.origin.data_revision != beside.origin.data_revision


def test_its_annotation_is_part_of_the_revision_but_not_of_the_embeddings(tmp_path: Path) -> None:
    for number in (1, 2):
        shard = _shard(tmp_path / str(number) / "boxes.tar", boxes=number)
        out = f"out{number}"
        assert _evaluate(tmp_path, shard, "--task", "counting", "--task", "all", out=out) == 0
    name = "RN50-openai__boxes__all__counting.json"
    first, second = (load_result(tmp_path / out / name) for out in ("out1", "out2"))
    assert first.origin.data_revision != second.origin.data_revision
    (model,) = (tmp_path / "cache").iterdir()
    kept = [folder for folder in model.iterdir() if any(folder.glob("*/embeds.f32"))]
    assert len(kept) == 3  # all pictures, and those with boxes in each shard


def test_what_does_not_fit_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shard = _shard(tmp_path / "boxes.tar")
    plain = write_tar(tmp_path / "plain.tar", [{"png": noise_png(0), "txt": b"x"}])
    for data, arguments, part in (
        (shard, ["--task", "counting", "--set", "counting.prompt=x"], "counting.prompt needs {n}"),
        (shard, ["--task", "counting", "--set", "counting.large=3"], "did you mean 'largest'"),
        (shard, ["--set", "counting.largest=3"], "add --task counting"),
        (plain, ["--task", "counting"], "no pictures with boxes"),
    ):
        assert _evaluate(tmp_path, data, *arguments) == 2
        error = capsys.readouterr().err.splitlines()
        assert part in error[-1]
