"""``vlsuite omnibench run``: what it refuses in one line, and what a run leaves behind."""

import json
from pathlib import Path

import pytest

from benchmarks.support.omni_questions import write_github_form
from benchmarks.support.omni_server import OmniServer, letter_model
from vlsuite.cli.main import main


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_github_form(tmp_path_factory.mktemp("cli") / "OmniBench", 6)


def run(questions: Path, out: Path, *options: str) -> int:
    return main(["omnibench", "run", str(questions), "--out", str(out), *options])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--model", "guess"], "unknown model 'guess'"),
        (["--model", "http://127.0.0.1:1/v1"], "URL|#MODEL"),
        (["--model", "random", "--setting", "video"], "unknown setting 'video'"),
        (["--model", "random", "--setting", ","], "no setting"),
        (["--model", "random", "--parser", "mine"], "unknown parser 'mine'"),
        (["--model", "random", "--style", "lmms"], "--style is for models that are prompted"),
        (["--model", "random", "--timeout", "3"], "--timeout is for endpoints"),
        (["--model", "random", "--limit", "0"], "at least 1"),
        (["--model", "http://x/v1#m", "--batch-size", "2"], "--batch-size is for models run here"),
        (["--model", "http://x/v1#m", "--max-cost", "1"], "--price-in"),
        (["--model", "http://x/v1#m", "--extra", "[1]"], "no JSON object"),
        (["--model", "http://x/v1#m", "--temperature", "hot"], "a number or none"),
        (["--model", "http://x/v1#m", "--key-env", "ABSENT_KEY"], "ABSENT_KEY"),
        (["--model", "http://x/v1#m", "--tries", "0"], "at least 1"),
        (["--model", "transformers:./absent"], "no folder ./absent"),
    ],
)
def test_mistakes_are_one_line(
    questions: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    told: str,
) -> None:
    assert run(questions, tmp_path, *options) == 2
    error = capsys.readouterr().err
    assert any(part in error for part in told.split("|"))
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_run_leaves_answers_results_and_page_and_goes_on(
    questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    with OmniServer(letter_model) as server:
        endpoint = ["--model", f"{server.url}#letters", "--cache", str(tmp_path / "cache")]
        assert run(questions, out, *endpoint, "--dry-run", "--price-in", "1") == 0
        assert "dry run: 6 requests" in capsys.readouterr().out
        assert not server.ledger.received
        assert run(questions, out, *endpoint) == 0
        told = capsys.readouterr()
        assert "6 requests sent (0 retries)" in told.err
        assert "image_audio" in told.out
        assert len((out / "responses.jsonl").read_text().splitlines()) == 7
        (result,) = (out / "results").glob("*.json")
        assert json.loads(result.read_text())["num_samples"] == 6
        assert list(out.glob("*.html"))
        assert run(questions, out, *endpoint, "--setting", "image_audio,caption") == 0
        assert sum(server.ledger.received.values()) == 12
        capsys.readouterr()
        assert run(questions, out, *endpoint, "--style", "lmms") == 2
        assert "begun with another prompt style" in capsys.readouterr().err
        assert run(questions, tmp_path / "other", *endpoint) == 0
        assert sum(server.ledger.received.values()) == 12


def test_limit_is_a_sample_that_scoring_knows(
    questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(questions, tmp_path, "--model", "random", "--limit", "4", "--setting", "all") == 0
    (result, *_) = (tmp_path / "results").glob("*.json")
    assert json.loads(result.read_text())["num_samples"] == 4
    assert main(["omnibench", "score", str(questions), str(tmp_path)]) == 0
    assert "4" in capsys.readouterr().out


_OUTSIDE = """\
from dataclasses import dataclass

from eval.omnibench.parsers.registry import parsers
from eval.respondents.response import Response
from vlsuite.models.opening import openers


@parsers.register("shouting")
def parse(text, options):
    return "abcd".index(text[-1].lower()) if text else None


@dataclass(frozen=True)
class Always:
    name: str
    fingerprint: str = "always"

    def respond(self, questions):
        for question in questions:
            yield Response(index=question.index, setting=question.setting, text=self.name)


@openers.register("always")
def open_always(rest, device):
    return Always(rest)
"""


def test_parsers_and_kinds_of_models_from_outside(
    questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    from eval.omnibench.parsers.registry import parser_names, parsers
    from eval.opening import openers

    for registry in (parsers, openers):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    (tmp_path / "outside_omnibench.py").write_text(_OUTSIDE)
    outside = ["--import", str(tmp_path / "outside_omnibench.py")]
    own = ["--model", "always:WELL, B", "--parser", "shouting", *outside]
    assert run(questions, tmp_path / "run", *own) == 0
    assert "always" not in capsys.readouterr().err
    assert parser_names()[:2] == ["vlsuite", "upstream"]
    assert parser_names()[-1] == "shouting"
    (result,) = (tmp_path / "run" / "results").glob("*.json")
    assert json.loads(result.read_text())["details"]["counts"]["answered"] == 6
    assert run(questions, tmp_path / "other", "--model", "always:B", "--timeout", "1") == 2
    assert "--timeout is for endpoints" in capsys.readouterr().err
