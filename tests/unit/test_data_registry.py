"""Names register once, one look-up imports one module, and a broken file disables itself alone."""

import re
import sys
import textwrap
from pathlib import Path

import pytest

import data_pipelines
from data_pipelines import plugins
from data_pipelines.registry import DuplicateNameError, Registry
from vlsuite.cli.main import main
from vlsuite.errors import ConfigError, UnknownNameError
from vlsuite.objectives import registry as objectives
from vlsuite.recipes import registry as recipes

PACKAGE = "things_for_this_test"


def write(folder, **modules):
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text))


@pytest.fixture
def things(tmp_path, monkeypatch):
    """A package with a registry, a good module and a half-written one."""
    folder = tmp_path / PACKAGE
    folder.mkdir()
    write(
        folder,
        __init__=f"""\
            from data_pipelines.registry import Registry

            registry = Registry("thing", package="{PACKAGE}")
        """,
        good=f"""\
            from {PACKAGE} import registry

            @registry.register("good")
            def good(): ...
        """,
        halfway=f"""\
            import not_there
            from {PACKAGE} import registry

            @registry.register("halfway")
            def halfway(): ...
        """,
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield __import__(PACKAGE).registry
    for name in [n for n in sys.modules if n.startswith(PACKAGE)]:
        del sys.modules[name]


def test_second_use_of_a_name_is_an_error():
    registry: Registry = Registry("thing", package="vlsuite.recipes")
    registry.register("a")(1)
    with pytest.raises(DuplicateNameError, match="registered twice"):
        registry.register("a")(2)


def test_unknown_name_lists_the_closest():
    with pytest.raises(UnknownNameError, match="cifar10"):
        recipes.get("cifar")


def test_names_are_known_without_importing(things):
    assert things.names() == ["good", "halfway"]
    assert f"{PACKAGE}.good" not in sys.modules


def test_a_look_up_imports_one_module(things):
    assert things.get("good").__name__ == "good"
    assert f"{PACKAGE}.halfway" not in sys.modules
    assert things._problems == {}


def test_a_broken_file_is_reported_where_its_name_is_asked_for(things):
    with pytest.raises(UnknownNameError, match=r"'halfway' is not available: .*'not_there'"):
        things.get("halfway")
    with pytest.raises(UnknownNameError, match="closest: good"):
        things.get("goood")
    assert things.get("good").__name__ == "good"


def test_a_list_has_the_broken_one_with_its_reason(things):
    good, halfway = things.listed()
    assert (good.name, good.problem) == ("good", "")
    assert (halfway.name, halfway.component) == ("halfway", None)
    assert "not_there" in halfway.problem


def test_two_files_of_one_name_are_never_passed_over(things, tmp_path):
    write(
        tmp_path / PACKAGE,
        again=f"""\
            from {PACKAGE} import registry

            @registry.register("good")
            def another(): ...
        """,
    )
    with pytest.raises(DuplicateNameError, match=r"good.good|again.another"):
        things.get("good")


def test_a_module_that_calls_the_registry_otherwise_is_found_too(things, tmp_path):
    write(
        tmp_path / PACKAGE,
        other=f"""\
            import {PACKAGE} as home

            own = home.registry

            @own.register("other")
            def other(): ...
        """,
    )
    assert things.get("other").__name__ == "other"


def test_name_of_a_component_and_of_a_stranger(things):
    assert things.name_of(things.get("good")) == "good"
    with pytest.raises(UnknownNameError, match="not a registered thing"):
        things.name_of(int)


def test_commands_survive_a_half_written_objective(tmp_path, monkeypatch, capsys):
    """``import not_there`` in a file of objectives once broke every command that trains."""
    folder = tmp_path / "more_objectives"
    folder.mkdir()
    write(
        folder,
        __init__="",
        mine="""\
            import not_there
            from vlsuite.objectives import registry

            @registry.register("mine")
            class Mine: ...
        """,
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(objectives, "_packages", (*objectives._packages, "more_objectives"))
    monkeypatch.setattr(objectives, "_index", None)
    monkeypatch.setattr(objectives, "_problems", {})
    assert main(["train", "emoji", "--show-config"]) == 0
    assert main(["train", "emoji", "--show-config", "--set", "objective=mine"]) == 2
    assert "objective 'mine' is not available: " in capsys.readouterr().err
    monkeypatch.setattr(objectives, "_index", None)


def test_a_name_of_the_package_is_not_for_strangers(tmp_path, monkeypatch, capsys):
    """Whether or not the module that has it was imported before."""
    write(
        tmp_path,
        lab_taken="""\
            from vlsuite.recipes import registry

            @registry.register("clip_vit_b32")
            def mine(): ...
        """,
    )
    told = ["--import", str(tmp_path / "lab_taken.py")]
    for words in (["train", "--list-recipes"], ["train", "clip_vit_b32", "--show-config"]):
        assert main([*words, *told]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "recipe 'clip_vit_b32' is registered twice" in line


class TestPlugIns:
    """An installed distribution as pip leaves it, with entry points of the group."""

    @pytest.fixture
    def installed(self, tmp_path, monkeypatch, things):
        info = tmp_path / "lab-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(
            "[vlsuite.plugins]\nlab = lab_plugin\nbroken = lab_broken\n"
        )
        write(
            tmp_path,
            lab_plugin=f"""\
                from {PACKAGE} import registry

                @registry.register("from_lab")
                def from_lab(): ...
            """,
            lab_broken="import not_there_either\n",
        )
        monkeypatch.setattr(plugins, "_was_loaded", False)
        monkeypatch.setattr(plugins, "_problems", {})
        yield things
        for name in ("lab_plugin", "lab_broken"):
            sys.modules.pop(name, None)

    def test_found_by_name_and_in_lists(self, installed):
        assert installed.get("from_lab").__name__ == "from_lab"
        assert "from_lab" in installed.names()

    def test_a_broken_one_is_named_where_a_name_is_missing(self, installed):
        with pytest.raises(UnknownNameError, match=r"plug-in 'broken'.*not_there_either"):
            installed.get("from_elsewhere")


class TestImport:
    def test_a_file_once(self, tmp_path, monkeypatch):
        write(tmp_path, lab_file="import sys\nsys.lab_count = getattr(sys, 'lab_count', 0) + 1\n")
        monkeypatch.setattr(sys, "lab_count", 0, raising=False)
        monkeypatch.setattr(plugins, "_imported", {})
        path = str(tmp_path / "lab_file.py")
        plugins.import_all([path, path])
        assert sys.lab_count == 1
        assert plugins.imported() == [path]

    def test_from_the_environment(self, tmp_path, monkeypatch, capsys):
        write(tmp_path, lab_env="raise RuntimeError('half\\nwritten')\n")
        monkeypatch.setenv("VLSUITE_IMPORT", str(tmp_path / "lab_env.py"))
        assert main(["train", "--list-recipes"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "RuntimeError: half written" in line

    @pytest.mark.parametrize("name", ["nowhere.py", "no_such_module", "folder/"])
    def test_what_is_not_there(self, name, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ConfigError, match="cannot import"):
            plugins.import_all([name])


def test_components_of_ours_are_found_by_their_text():
    """A name that is no literal is found by importing every module, which takes seconds."""
    root = Path(data_pipelines.__file__).parents[1]
    written = re.compile(r"^@[\w.]+\.register\((?! *[\"'])", re.MULTILINE)
    files = [
        path
        for name in ("vlsuite", "eval", "data_pipelines")
        for path in (root / name).rglob("*.py")
    ]
    assert len(files) > 500
    assert not [path for path in files if written.search(path.read_text(encoding="utf-8"))]


def test_an_unknown_name_is_refused_without_imports(things):
    registry = things
    with pytest.raises(UnknownNameError, match="closest: good"):
        registry.refuse_unknown("goood")
    registry.refuse_unknown("good")
    assert not registry._entries
