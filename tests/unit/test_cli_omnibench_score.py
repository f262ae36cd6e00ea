"""``vlsuite omnibench score``, ``compare`` and ``audit`` on logs of the baselines."""

from pathlib import Path

import pytest

from benchmarks.support.omni_questions import write_github_form
from vlsuite.cli.main import main


@pytest.fixture(scope="module")
def asked(tmp_path_factory) -> Path:
    """Questions, and runs of two baselines in two settings."""
    folder = tmp_path_factory.mktemp("omnibench")
    write_github_form(folder / "questions", 24)
    for name in ("random", "echo"):
        words = ["omnibench", "run", str(folder / "questions"), "--model", name]
        assert main([*words, "--setting", "image,audio", "--out", str(folder / name)]) == 0
    return folder


def test_scoring_again_gives_the_files_of_the_run(asked, tmp_path, capsys):
    words = ["omnibench", "score", str(asked / "questions"), str(asked / "random")]
    assert main([*words, "--out", str(tmp_path)]) == 0
    names = sorted(path.name for path in (tmp_path / "results").iterdir())
    assert names == [
        "random__questions__audio__omnibench.json", "random__questions__image__omnibench.json",
    ]  # fmt: skip
    for file in [tmp_path / "omnibench.html", *(tmp_path / "results").iterdir()]:
        assert file.read_bytes() == (asked / "random" / file.relative_to(tmp_path)).read_bytes()
    assert "by task and audio type" in capsys.readouterr().out.lower()


def test_every_parser_side_by_side(asked, capsys):
    words = ["omnibench", "score", str(asked / "questions"), str(asked / "echo")]
    assert main([*words, "--all-parsers", "--setting", "image"]) == 0
    told = capsys.readouterr().out
    for name in ("vlsuite", "upstream", "upstream_before_pr2", "lmms", "evalscope"):
        assert f"{name}: %" in told


def test_two_runs_and_two_settings_compare(asked, capsys):
    questions, one, two = (str(asked / name) for name in ("questions", "random", "echo"))
    assert main(["omnibench", "compare", questions, one, two]) == 0
    told = capsys.readouterr().out
    assert "random (image) against echo (image)" in told
    assert "random (audio) against echo (audio)" in told
    words = ["omnibench", "compare", questions, one, one]
    assert main([*words, "--setting", "image", "--against", "audio"]) == 0
    assert "random (image) against random (audio)" in capsys.readouterr().out


def test_results_are_compared_like_all_others(asked, tmp_path, capsys):
    words = ["eval", "compare", str(asked / "random"), str(asked / "echo")]
    assert main([*words, "--out", str(tmp_path)]) == 0
    assert "questions (image)" in capsys.readouterr().out
    assert main(["report", str(asked / "random")]) == 0
    assert "OmniBench" in (asked / "random" / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["score", "{q}", "{r}", "--parser", "mine"], "unknown parser 'mine'"),
        (["score", "{q}", "{r}", "--setting", "caption"], "no responses in setting caption"),
        (["score", "{q}", "nowhere"], "nowhere"),
        (["compare", "{q}", "{r}", "{r}"], "against itself"),
        (["compare", "{q}", "{r}", "{r}", "--against", "audio"], "--against needs --setting"),
    ],
)
def test_mistakes_are_one_line(asked, capsys, words, told):
    filled = [w.format(q=asked / "questions", r=asked / "random") for w in words]
    assert main(["omnibench", *filled]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_the_audit_is_printed(capsys):
    assert main(["omnibench", "audit"]) == 0
    assert "39 of 44 are exact" in capsys.readouterr().out
