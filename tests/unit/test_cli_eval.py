import json
from pathlib import Path

import pytest

from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import captioned, labelled, write_evaluation_folder
from vlsuite.cli.main import main


@pytest.fixture
def small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "eval.opening.open_model", lambda spec, *, device, settings=(): SmallClip(name=spec)
    )


@pytest.mark.usefixtures("small_model")
def test_eval_prints_a_table_and_the_result_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes = write_evaluation_folder(
        tmp_path / "classes", labelled(6, num_classes=3), class_names=("cat", "dog", "boat")
    )
    pairs = write_evaluation_folder(tmp_path / "pairs", captioned([["a"], ["b"], ["c"]]))
    arguments = ["eval", "RN50:openai", "--data", str(classes), "--data", str(pairs)]
    arguments += ["--templates", "simple", "--out", str(tmp_path / "out")]

    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "top-1 accuracy" in printed
    assert "image to text R@5" in printed
    named = [line.split(": ")[1] for line in printed.splitlines() if line.startswith("results:")]
    assert len(named) == 2
    assert all(Path(path).is_file() for path in named)

    assert main(arguments) == 0
    assert capsys.readouterr().out.count("finished earlier, kept") == 2

    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["file"] for one in told["results"]] == named
    assert {one["dataset"] for one in told["results"]} == {"classes", "pairs"}
    assert told["results"][0]["scores"]["top1"]["n"] == 6

    out = tmp_path / "comparison"
    compare = [
        "eval",
        "compare",
        "RN50:openai",
        "ViT-B-32:openai",
        "--data",
        str(classes),
        "--out",
        str(out),
    ]
    assert main([*compare, "--json", "--quiet"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["report"] == str(next(out.glob("*.html")))
    assert told["comparison"]

    assert main(["report", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.usefixtures("small_model")
@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--data", "nowhere"], "no shard matches nowhere"),
        (["--data", "nowhere", "--templates", "imagnet"], "unknown template set 'imagnet'"),
        (["--data", "nowhere", "--batch-size", "0"], "--batch-size is 0"),
        (["--data", "nowhere", "--task", "retrival"], "closest: retrieval"),
        (["--data", "nowhere", "--class-names", "missing.txt"], "missing.txt does not exist"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], part: str
) -> None:
    assert main(["eval", "first", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert part in error
    assert error.count("\n") == 1


def test_report_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "nothing to report" in capsys.readouterr().err
