"""``vlsuite study noise``: mistakes are one line and exit code 2; finished runs are reported."""

from pathlib import Path

import pytest

from eval.studies.noise import run as run_module
from eval.studies.noise.grid import Cell, StudyConfig, default_cells
from tests.support.noise_cells import places, write_cell
from vlsuite.cli.main import main


@pytest.fixture(autouse=True)
def _here(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of the names that the commands are given as shards."""
    here = tmp_path_factory.mktemp("here")
    for name in ("shards", "a", "b"):
        (here / name).mkdir()
    monkeypatch.chdir(here)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["shards"], "--out DIR"),
        (["--out", "OUT"], "needs shards"),
        (["shards", "--out", "OUT", "--methods", "magic"], "no method 'magic'"),
        (["shards", "--out", "OUT", "--rates", "half"], "--rates"),
        (["shards", "--out", "OUT", "--rates", "1.5"], "[0, 1)"),
        (["shards", "--out", "OUT", "--set", "lrr=1"], "lrr"),
        (["shards", "--out", "OUT", "--epochs", "many"], "epochs"),
        (["--out", "OUT", "--report-only"], "out does not exist"),
    ],
)
def test_mistakes(tmp_path: Path, capsys, arguments: list[str], said: str):
    given = [str(tmp_path / "out") if word == "OUT" else word for word in arguments]
    assert main(["study", "noise", *given]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert error.startswith("error: ")
    assert "\n" not in error
    assert not (tmp_path / "out").exists()


def test_another_study_in_the_folder_is_kept(tmp_path: Path, capsys):
    write_cell(tmp_path, "infonce", 0.5, 0, t2i=[0], digest="another")
    assert main(["study", "noise", "shards", "--out", str(tmp_path)]) == 2
    assert "other shards or settings" in capsys.readouterr().err


def test_the_list_has_methods_and_settings(capsys):
    assert main(["study", "noise", "--list-methods"]) == 0
    out = capsys.readouterr().out
    assert "label_smoothing" in out
    assert "epochs=" in out


def test_finished_runs_are_reported(tmp_path: Path, capsys):
    write_cell(tmp_path, "infonce", 0.5, 0, t2i=places(0.3, 50))
    assert main(["study", "noise", "--out", str(tmp_path), "--report-only"]) == 0
    out = capsys.readouterr().out
    assert "InfoNCE" in out
    assert out.strip().endswith("study.html")


@pytest.fixture
def asked(monkeypatch) -> list:
    """What would have been run; one finished run is written in its place."""
    calls = []

    def note(config: StudyConfig, cells: list[Cell], out: Path, *, jobs: int) -> None:
        calls.append((config, cells, jobs))
        write_cell(out, "infonce", 0.5, 0, t2i=places(0.3, 50), digest=config.digest)

    monkeypatch.setattr(run_module, "run_study", note)
    return calls


def test_the_default_grid(tmp_path: Path, asked: list):
    assert main(["study", "noise", "a", "b", "--out", str(tmp_path), "--seeds", "2"]) == 0
    ((config, cells, jobs),) = asked
    assert config == StudyConfig(shards=("a", "b"))
    assert cells == default_cells(2)
    assert jobs == 2


def test_a_chosen_grid_with_settings(tmp_path: Path, asked: list):
    chosen = ["--methods", "infonce, rde", "--rates", "0,0.5", "--seeds", "1", "--seed", "4"]
    settings = ["--epochs", "2", "--set", "batch_size=64", "--jobs", "1"]
    assert main(["study", "noise", "a", "--out", str(tmp_path), *chosen, *settings]) == 0
    ((config, cells, jobs),) = asked
    assert (config.epochs, config.batch_size, jobs) == (2, 64, 1)
    assert set(cells) == {Cell(m, r, 4) for m in ("infonce", "rde") for r in (0.0, 0.5)}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--out DIR"),
        (["--out", "OUT", "--modes", "magic"], "no mode 'magic'"),
        (["--out", "OUT", "--set", "trainn=1"], "trainn"),
        (["--out", "OUT", "--set", "side=100"], "multiple of 32"),
        (["--out", "OUT", "--report-only"], "out does not exist"),
    ],
)
def test_mistakes_of_a_detection_study(tmp_path: Path, capsys, arguments: list[str], said: str):
    given = [str(tmp_path / "out") if word == "OUT" else word for word in arguments]
    assert main(["study", "detection", *given]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert error.startswith("error: ")
    assert "\n" not in error
    assert not (tmp_path / "out").exists()


def test_the_settings_of_a_detection_study_are_listed(capsys):
    assert main(["study", "detection", "--list-settings"]) == 0
    assert "localizer_steps=" in capsys.readouterr().out
