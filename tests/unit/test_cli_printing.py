"""Every command answers programs with one JSON object and can be quiet; outputs are tried first."""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import vlsuite
from tests.support.evaluation_data import captioned, labelled, write_evaluation_folder
from vlsuite.cli import main as program
from vlsuite.cli.answers import answered_in_json, is_asked, plain, tell
from vlsuite.cli.main import main
from vlsuite.cli.outputs import refuse_unwritable
from vlsuite.cli.printing import leaves
from vlsuite.cli.quiet import warnings_only
from vlsuite.errors import ConfigError


@pytest.mark.parametrize("command", program.COMMANDS)
def test_every_command_has_both_options(command):
    parsers = leaves(program.build_parser(command))
    wanted = [parser for parser in parsers if parser.prog.split()[1] == command]
    assert wanted
    for parser in wanted:
        assert {"--json", "--quiet"} <= parser._option_string_actions.keys(), parser.prog


class _Pair(NamedTuple):
    one: int
    two: Path


@dataclass
class _Record:
    low: float
    by: dict


def test_what_is_told_is_what_json_has(capsys):
    assert not is_asked()
    tell(left="out")
    with answered_in_json():
        assert is_asked()
        print("text for people")
        tell(array=np.arange(2), number=np.float32(0.5), pair=_Pair(1, Path("a/b")))
        tell(record=_Record(float("nan"), {("x", 1): {"y"}}), text="\u202e\x1b")
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "array": [0, 1],
        "number": 0.5,
        "pair": {"one": 1, "two": "a/b"},
        "record": {"low": None, "by": {"x / 1": ["y"]}},
        "text": "\u202e\x1b",
    }
    assert plain(True) is True


def test_a_command_that_tells_nothing_answers_with_its_text(capsys):
    with answered_in_json():
        print("one\ntwo")
    assert json.loads(capsys.readouterr().out) == {"text": "one\ntwo"}


def test_another_process_of_the_command_prints_nothing(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with answered_in_json():
        assert not is_asked()
        tell(a=1)
    assert capsys.readouterr().out == ""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("printing")
    write_evaluation_folder(folder / "pairs", captioned([[f"t {i}"] for i in range(6)]))
    write_evaluation_folder(folder / "classes", labelled(4, num_classes=2))
    return folder


def _answer(capsys, *words, code=0):
    assert main([str(word) for word in words]) == code
    return json.loads(capsys.readouterr().out)


def test_answers_of_commands_on_data(data, tmp_path, capsys):
    """And nothing is written beside the data."""
    before = sorted(data.rglob("*"))
    shards = data / "pairs" / "test"
    told = _answer(capsys, "data", "validate", shards, "--json")
    assert (told["num_samples"], told["is_valid"]) == (6, True)
    told = _answer(capsys, "data", "inspect", shards, "--json")
    assert (told["num_samples"], told["num_shards"]) == (6, 1)
    told = _answer(capsys, "curate", "scan", shards, "--out", tmp_path / "table", "--json")
    assert told["num_samples"] == 6
    recipe = tmp_path / "own.toml"
    recipe.write_text('[[stage]]\nfilter = "exact-duplicates"\n')
    run = ("curate", "run", recipe, tmp_path / "table", "--out", tmp_path / "curated")
    told = _answer(capsys, *run, "--json")
    assert told["num_samples"] == 6
    assert sum(stage["given"] - stage["kept"] for stage in told["stages"]) == 6 - told["num_kept"]
    assert sorted(data.rglob("*")) == before


def test_answers_of_lists(capsys):
    told = _answer(capsys, "train", "cifar10", "--show-config", "--set", "optim.lr=0.5", "--json")
    assert told["optim"]["lr"] == 0.5
    assert _answer(capsys, "curate", "run", "--list", "--json")["recipes"]


def test_deepspeed_is_imported_in_functions_alone():
    """Imported before the device is told, it warns on standard output, where results belong."""
    root = Path(vlsuite.__file__).parents[1]
    at_once = re.compile(r"^(?:from|import) deepspeed\b", re.MULTILINE)
    for path in (p for package in ("vlsuite", "eval") for p in (root / package).rglob("*.py")):
        assert not at_once.search(path.read_text(encoding="utf-8")), path


def test_a_mistake_prints_no_json(capsys):
    assert main(["curate", "run", "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")


def test_quiet_leaves_warnings(capsys):
    with warnings_only():
        print("step 1/2  loss 0.3", file=sys.stderr)
        print("warning: look here", file=sys.stderr)
        print("a.py:3: UserWarning: old\n[2026] [WARNING] old\rerror: bad", file=sys.stderr)
        sys.stderr.write("embedding 3/4\rwarning: without an end")
        assert not sys.stderr.isatty()
    said = capsys.readouterr().err
    assert said.splitlines() == [
        "warning: look here",
        "a.py:3: UserWarning: old",
        "error: bad",
        "warning: without an end",
    ]


def test_quiet_hides_no_crash(capsys):
    with warnings_only():
        print("Exception in thread a:\nTraceback (most recent call last):\n  x", file=sys.stderr)
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_outputs_are_tried_before_work(tmp_path, capsys, data):
    (tmp_path / "file").write_text("")
    for words, told in (
        (("data", "inspect", "/no/such", "--contact-sheet", tmp_path), "is a folder; give a file"),
        (("xmai", "page", "/no/such", "--out", tmp_path), "is a folder; give a file"),
        (("curate", "run", "laion", "/no", "--out", tmp_path / "file"), "is a file; give a f"),
        (("eval", "a", "--data", "/no/such", "--out", tmp_path / "file" / "x"), "cannot be writ"),
        (("detect", "/no", "x", "--model", "m", "--out", "/proc/found"), "choose another with --o"),
        (("report", data, "--out", "/proc/page.html"), "/proc/page.html cannot be written"),
    ):
        assert main([str(word) for word in words]) == 2
        said = capsys.readouterr().err
        assert told in said, said
        assert said.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_outputs_in_folders_that_are_missing_leave_no_trace(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no folder .*b; make it, or choose another"):
        refuse_unwritable(tmp_path / "a" / "b" / "c.html", is_folder=False)
    refuse_unwritable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match=r"--out .* is a folder; give a file"):
        refuse_unwritable(tmp_path, is_folder=False)


def test_compare_has_a_help_of_its_own(capsys):
    with pytest.raises(SystemExit):
        main(["eval", "compare", "--help"])
    said = capsys.readouterr().out
    assert said.startswith("usage: vlsuite eval compare [-h]")
    assert "paired over the same pictures" in said
    assert main(["eval", "compare", "a"]) == 2
    assert "compare needs two models" in capsys.readouterr().err
    assert main(["eval", "compare"]) == 2
    assert "compare needs two models" in capsys.readouterr().err
    assert main(["eval", "compare", "a", "b", "--zzz"]) == 2
    assert "(see 'vlsuite eval compare --help')" in capsys.readouterr().err
    assert main(["eval", "--seed", "1", "compare", "a", "a"]) == 2
    assert "is given a twice" in capsys.readouterr().err
