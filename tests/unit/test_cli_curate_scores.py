"""The commands that give samples scores and clean their captions, and what they refuse."""

import pyarrow.parquet as pq
import pytest

from data_pipelines.shards import remote
from tests.support.curation import mixed_shards
from tests.support.language_models import random_language_model
from vlsuite.cli.main import main


@pytest.fixture
def shards(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    mixed_shards(tmp_path / "shards")
    assert main(["curate", "scan", str(tmp_path / "shards")]) == 0
    return tmp_path / "shards"


def test_points_recipe_from_shards_to_kept_samples(shards, tmp_path, capsys):
    folder = random_language_model(tmp_path / "lm", ["picture number 1 2 3 4"] * 5)
    words = ["--scorer", "perplexity", "--model", str(folder), "--set", "max_tokens=8"]
    assert main(["curate", "score", str(shards), *words, "--batch-size", "4"]) == 0
    said = capsys.readouterr().out
    assert "18 samples (3 shards read now), 0 without a score -> column 'perplexity'" in said
    assert main(["curate", "run", "points", str(shards), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "kept by source:" in said
    rows = pq.read_table(tmp_path / "out" / "kept.parquet").to_pylist()
    kept = {6 * int(row["shard"][:5]) + row["row"] for row in rows}
    scores = [
        score
        for path in sorted((shards / "curation/scores/perplexity").glob("*.parquet"))
        for score in pq.read_table(path)["score"].to_pylist()
    ]
    readable = [number for number in range(18) if number % 3 != 2]
    third = sorted(scores[number] for number in readable)[2]  # 20% of 12, rounded up
    assert kept == {number for number in readable if scores[number] <= third}
    assert main(["curate", "score", str(shards), *words, "--batch-size", "4"]) == 0
    assert "(0 shards read now)" in capsys.readouterr().out


def test_cleaned_captions_are_a_column(shards, tmp_path, capsys):
    words = ["--out", str(tmp_path / "cleaned"), "--numbers"]
    assert main(["curate", "clean", str(shards), *words]) == 0
    said = capsys.readouterr().out
    assert "18 captions cleaned, 0 left as they were, 0 samples without one" in said
    assert (tmp_path / "cleaned" / "column.captions").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["curate", "score"], "name the shards of the table and --model"),
        (["curate", "score", "S", "--model", "m", "--scorer", "linear-head"], "no shard"),
        (["curate", "clean", "S", "--out", "O"], "no finished table"),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--scorer", "clop", "--model", "m"], "unknown scorer 'clop'"),
        (["--model", "RN50:openai", "--set", "size=3"], "unknown setting"),
        (["--model", "m"], "there is no folder 'm' here"),
    ],
)
def test_scorers_and_settings_that_are_not_there(shards, capsys, words, said):
    capsys.readouterr()
    assert main(["curate", "score", str(shards), *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("action", ["score", "embed"])
def test_shards_are_looked_for_before_a_model(shards, tmp_path, monkeypatch, capsys, action):
    monkeypatch.setattr(remote, "FIRST_WAIT", 0.01)
    table, other = str(shards / "curation"), tmp_path / "other"
    mixed_shards(other)
    for tar in sorted(other.glob("*.tar"))[1:]:
        tar.unlink()
    for path, said in (
        (str(other), "2 shards of"),
        (str(tmp_path / "gone"), "no shard"),
        ("http://127.0.0.1:9/00000.tar", "127.0.0.1"),
    ):
        capsys.readouterr()
        # "nope" is no model, which the first look at the model would tell
        words = ["curate", action, path, "--table", table, "--model", "nope"]
        assert main(words) == 2
        error = capsys.readouterr().err
        assert said in error
        assert "nope" not in error
        assert len(error.splitlines()) == 1


def test_all_scorers_are_listed_with_their_settings(capsys):
    assert main(["curate", "score", "--list"]) == 0
    said = capsys.readouterr().out
    assert "perplexity\n    max_tokens = 256: of a caption" in said
    assert "linear-head\n    head = None" in said
