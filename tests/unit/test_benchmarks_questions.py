"""Every benchmark answers ``--help``, asks a question, is in the table, and says what it lacks."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks
from benchmarks.support.data_folder import VARIABLE, file_if_there, file_named, folder_with
from benchmarks.support.program import run_as_program
from benchmarks.support.timed_process import BenchmarkError

FOLDER = Path(benchmarks.__file__).parent
QUESTIONS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


@pytest.fixture(autouse=True)
def no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.mark.parametrize("name", QUESTIONS)
def test_help(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as stopped:
        module.main()
    assert stopped.value.code == 0
    assert {"--quick", "--seed", "--save"} <= set(re.findall(r"--\w+", capsys.readouterr().out))


@pytest.mark.parametrize("name", QUESTIONS)
def test_question_and_row(name: str) -> None:
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert "?" in source.split('"""')[1].partition("\n\n")[0]
    assert re.search(rf"^\| `{name}[ `]", (FOLDER / "README.md").read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_mistake_ends_it_in_the_shared_way(name: str) -> None:
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert source.endswith('\nif __name__ == "__main__":\n    run_as_program(main)\n')


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1)])
def test_what_a_benchmark_returns_is_its_exit_code(returned: int | None, code: int) -> None:
    with pytest.raises(SystemExit) as stopped:
        run_as_program(lambda: returned)
    assert stopped.value.code == code


def test_no_default_lies_outside_the_repository() -> None:
    for path in FOLDER.rglob("*.py"):
        assert "shared/data" not in path.read_text(encoding="utf-8").replace('" / "', "/"), path


@pytest.mark.parametrize(
    ("name", "words", "wanted"),
    [
        ("loader_throughput", ["--quick"], "needs imagenet-samples-000000.tar; name it with SHARD"),
        ("train_throughput", ["--quick"], r"needs cifar10-train-\*.tar; name the folder"),
        ("cifar_vs_open_clip", ["--quick"], "needs .* and cifar10-classnames.txt; name"),
        ("eval_axes", ["--quick", "--model", "m"], "needs .* and stamps-000000.tar; name"),
        ("omnibench_stamps", ["--quick"], "needs stamps-000000.tar; name it with --stamps TAR"),
    ],
)
def test_lacking_data_is_one_line(
    name: str,
    words: list[str],
    wanted: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr(sys, "argv", [name, *words])
    with pytest.raises(SystemExit) as stopped:
        run_as_program(module.main)
    assert stopped.value.code == 2
    said = capsys.readouterr()
    assert re.fullmatch(f"error: {wanted}.*{VARIABLE}\n", said.err)
    assert said.out == ""


def test_the_option_comes_before_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x-0.tar").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "b"))
    assert folder_with(None, "x-*.tar") == tmp_path / "b"
    assert folder_with(tmp_path / "a", "x-*.tar") == tmp_path / "a"
    assert file_named(None, "x-0.tar", option="TAR") == tmp_path / "b" / "x-0.tar"
    given = tmp_path / "a" / "x-0.tar"
    assert file_named(given, "y.tar", option="TAR") == given
    assert file_if_there(None, "y.tar", option="TAR") is None


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(BenchmarkError, match=rf"no x-\*.tar and y.tar in {tmp_path}; name"):
        folder_with(None, "x-*.tar", "y.tar")
    with pytest.raises(BenchmarkError, match=f"needs x.tar, which {tmp_path} lacks; name it"):
        file_named(None, "x.tar", option="TAR")
    with pytest.raises(BenchmarkError, match=f"no file {tmp_path}/z.tar; name another with TAR"):
        file_if_there(tmp_path / "z.tar", "x.tar", option="TAR")


def test_programs_inside_a_peer_see_the_peers_packages() -> None:
    """A script's folder is searched first: nothing there may be called as what it imports."""
    inside = FOLDER / "peers" / "inside"
    names = {path.stem for path in inside.glob("*.py")}
    assert {"zero_shot", "corruption_cells"} <= names
    for path in inside.glob("*.py"):
        imported = re.findall(r"^\s*(?:from|import) (\w+)", path.read_text("utf-8"), re.MULTILINE)
        assert not names & set(imported)
        assert "benchmarks" not in imported
    shown = subprocess.run(
        [sys.executable, inside / "zero_shot.py", "--help"], capture_output=True, text=True
    )
    assert "open_clip_train" in shown.stdout + shown.stderr
