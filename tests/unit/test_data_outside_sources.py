"""Sources of strangers, and sources that are broken."""

from pathlib import Path

import pytest

import data_pipelines.sources
from data_pipelines import plugins
from data_pipelines.shards.index import ShardIndex
from data_pipelines.sources.source import sources
from vlsuite.cli.main import main

OUTSIDE = Path(__file__).parents[1] / "outside" / "rot13_source.py"


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    """What a test registers is gone after it; the package's own sources stay."""
    sources.listed()
    monkeypatch.setattr(sources, "_entries", dict(sources._entries))
    monkeypatch.setattr(sources, "_problems", dict(sources._problems))
    monkeypatch.setattr(sources, "_index", None)
    monkeypatch.setattr(plugins, "_imported", dict(plugins._imported))


@pytest.fixture
def also_in(tmp_path, monkeypatch):
    """A folder whose files belong to the package of sources."""
    spec = data_pipelines.sources.__spec__
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folders = [*spec.submodule_search_locations, str(tmp_path)]
    monkeypatch.setattr(spec, "submodule_search_locations", folders)
    monkeypatch.setattr(data_pipelines.sources, "__path__", folders)
    return tmp_path


def test_a_source_of_a_stranger_builds_shards(tmp_path, capsys):
    (tmp_path / "lines.txt").write_text("n png\n\nn qbt\n")
    out = tmp_path / "out"
    options = ["--lines", str(tmp_path / "lines.txt"), "--out", str(out), "--side", "9"]
    assert main(["data", "build", "rot13", *options, "--import", str(OUTSIDE)]) == 0
    printed = capsys.readouterr().out
    assert "2 samples in 1 shard" in printed
    assert "skipped 1: empty line" in printed
    index = ShardIndex.open(next(out.glob("*.tar")))
    assert [index.read(i)["txt"] for i in range(2)] == [b"a cat", b"a dog"]
    assert f"rot13 --lines {tmp_path / 'lines.txt'} --side 9" in (out / "manifest.json").read_text()


def test_its_options_are_in_the_help(capsys):
    with pytest.raises(SystemExit):
        main(["--import", str(OUTSIDE), "data", "build", "rot13", "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "Lines of a text file, each letter moved by 13." in printed
    assert "--lines LINES text file, one caption a line" in printed
    assert "--side SIDE of the pictures in pixels (default: 8)" in printed


def test_what_its_settings_refuse_is_one_line(tmp_path, capsys):
    options = ["--lines", "x", "--side", "0", "--out", str(tmp_path / "out")]
    assert main(["data", "build", "rot13", *options, "--import", str(OUTSIDE)]) == 2
    assert capsys.readouterr().err == "error: --side 0: give at least 1\n"


def test_a_broken_file_disables_itself_alone(also_in, tmp_path, capsys):
    (also_in / "half_written.py").write_text(
        'import not_there\n\n\n@sources.register("half-written")\nclass Half:\n    pass\n'
    )
    with pytest.raises(SystemExit):
        main(["data", "build", "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "half-written not available: data_pipelines.sources.half_written cannot be" in printed
    assert "No module named 'not_there'" in printed
    assert "image-folder a folder of images" in printed
    assert main(["data", "build", "half-written", "--root", "x"]) == 2
    refused = capsys.readouterr().err
    assert refused.startswith("error: data source 'half-written' is not available: ")
    assert refused.count("\n") == 1
    out = tmp_path / "out"
    assert main(["data", "build", "synthetic", "--num-samples", "2", "--out", str(out)]) == 0


def test_fields_that_cannot_be_options_disable_their_source_alone(also_in, capsys):
    (also_in / "odd_fields.py").write_text(
        "from dataclasses import dataclass\n"
        "from data_pipelines.sources.source import Source, sources\n\n\n"
        '@sources.register("odd-fields")\n'
        "@dataclass(frozen=True, kw_only=True)\n"
        "class Odd(Source):\n"
        "    table: dict\n"
    )
    with pytest.raises(SystemExit):
        main(["data", "build", "--help"])
    assert "odd-fields not available: Odd: field 'table'" in " ".join(
        capsys.readouterr().out.split()
    )
