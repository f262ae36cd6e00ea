"""Options from dataclasses: every kind of field, there and back."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from data_pipelines.errors import ConfigError
from data_pipelines.options import option
from vlsuite.cli.options import add_options, described, positive, read_options

Mode = Literal["near", "far"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Camera:
    """What a camera does.

    Args:
        name: of the camera.
        count: how many ``frames``,
            50% of them dark.
        share: of the picture, 0 to 1.
        out: folder to write.
        mode: of the lens.
        level, depth: of detail.
        limit: at most; None: no limit.
        sizes: of the pictures.
        corner: left and top.
        sound: with sound.
        light: with light.
        colours: in the order of their wavelength.
    Raises:
        ConfigError: no name.
    """

    name: str
    count: int = 5
    share: float = 0.25
    out: Path = Path("here")
    mode: Mode = "near"
    level: Literal[1, 2] = 1
    depth: int = 0
    limit: int | None = None
    sizes: tuple[int, ...] = (8, 16)
    corner: tuple[int, int] = (0, 0)
    sound: bool = False
    light: bool = True
    colours: tuple[str, ...] = field(default_factory=lambda: ("red", "blue"))

    def __post_init__(self) -> None:
        if not self.name:
            raise ConfigError("--name is empty; give one")


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """Fields that say how they look."""

    paths: tuple[str, ...] = option("the files", positional=True, metavar="PATH")
    place: str | None = option("where to", positional=True, default=None)
    set_: tuple[str, ...] = option("one setting", default=(), flag="--set", repeated=True)
    seen: tuple[Path, ...] = option("a file", default=(), repeated=True, metavar="FILE")
    colour: str = option("of it (default: the red one)", default="red", choices=("red", "blue"))
    workers: int = option("processes", default=1, reader=positive)
    pair: Any = option("two words", default=None, reader=lambda text: text.split("+"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Renamed:
    """Fields that were called otherwise."""

    table: Path = option(
        "",
        positional=True,
        metavar="TABLE",
        formerly={"--folder": {"kind": "folder"}, "--csv": {"kind": "csv"}},
    )
    kind: str = "any"
    pictures: Path | None = option("", default=None, formerly="--folder")
    sizes: tuple[int, ...] = option("of it", default=(8,), formerly="--widths")


@pytest.fixture
def parser():
    return argparse.ArgumentParser(prog="camera", exit_on_error=False)


def _read(parser, cls, *words, **settings):
    add_options(parser, cls, **settings)
    return read_options(parser.parse_args(list(words)), cls)


def test_defaults_stand_in_the_class(parser):
    assert _read(parser, Camera, "--name", "a") == Camera(name="a")


def test_every_kind_of_field_is_read(parser):
    text = (
        "--name b --count 7 --share 0.5 --out there --mode far --level 2 --limit 3 --sizes 1,2,3 "
        "--corner 4,5 --sound --no-light --colours green --depth -1"
    )
    assert _read(parser, Camera, *text.split()) == Camera(
        name="b",
        count=7,
        share=0.5,
        out=Path("there"),
        mode="far",
        level=2,
        depth=-1,
        limit=3,
        sizes=(1, 2, 3),
        corner=(4, 5),
        sound=True,
        light=False,
        colours=("green",),
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--count x", "invalid int value: 'x'"),
        ("--mode middle", "invalid choice: 'middle'"),
        ("--level 3", "invalid choice: 3"),
        ("--sizes 1,x", "invalid int value: 'x'"),
        ("--corner 1", "'1' has not 2 values"),
    ],
)
def test_a_wrong_value_names_its_option(parser, words, message):
    add_options(parser, Camera)
    with pytest.raises(argparse.ArgumentError, match=words.split()[0]) as refused:
        parser.parse_args(["--name", "a", *words.split()])
    assert message in str(refused.value)


def test_help_comes_from_the_docstring_with_the_default(parser):
    add_options(parser, Camera)
    text = " ".join(parser.format_help().split())
    assert "--count COUNT how many frames, 50% of them dark (default: 5)" in text
    assert "--mode {near,far} of the lens (default: near)" in text
    assert "--depth DEPTH of detail (default: 0)" in text
    assert "--limit LIMIT at most; None: no limit -" in text
    assert "--sizes SIZES of the pictures (default: 8,16)" in text
    assert "--sound with sound --" in text
    assert "--light, --no-light with light --" in text
    assert "--colours COLOURS in the order of their wavelength (default: red,blue)" in text


def test_fields_that_say_how_they_look(parser):
    add_options(parser, Told)
    given = ["one", "two", "--set", "a=1", "--set", "b=2", "--seen", "x"]
    given += ["--workers", "1e3", "--pair", "a+b"]
    assert read_options(parser.parse_args(given), Told) == Told(
        paths=("one", "two"),
        set_=("a=1", "b=2"),
        seen=(Path("x"),),
        workers=1000,
        pair=("a", "b"),
    )
    text = " ".join(parser.format_help().split())
    assert "PATH the files" in text
    assert "--colour {red,blue} of it (default: the red one) --" in text
    assert read_options(parser.parse_args(["one"]), Told) == Told(paths=("one",))


def test_some_fields_alone_and_some_required(parser):
    add_options(parser, Camera, only=("count", "mode"), required=("count",))
    with pytest.raises((argparse.ArgumentError, SystemExit)):
        parser.parse_args([])
    args = parser.parse_args(["--count", "3"])
    assert vars(args) == {"count": 3, "mode": "near"}
    assert read_options(args, Camera, name="known") == Camera(name="known", count=3)


def test_left_out_fields_have_no_option(parser):
    add_options(parser, Camera, leave_out=("name", "count"))
    assert not {"name", "count"} & vars(parser.parse_args([])).keys()


def test_a_group_of_options_that_exclude_each_other(parser):
    add_options(parser.add_mutually_exclusive_group(), Camera, only=("count", "limit"))
    with pytest.raises(argparse.ArgumentError, match="not allowed with"):
        parser.parse_args(["--count", "1", "--limit", "2"])


def test_what_the_class_refuses_passes_through(parser):
    with pytest.raises(ConfigError, match="--name is empty"):
        _read(parser, Camera, "--name", "")


def test_an_unknown_type_needs_a_reader(parser):
    @dataclass
    class Odd:
        table: dict

    with pytest.raises(TypeError, match=r"field 'table' .* needs a reader"):
        add_options(parser, Odd)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("a", Renamed(table=Path("a"))),
        ("--csv a", Renamed(table=Path("a"), kind="csv")),
        ("--folder a", Renamed(table=Path("a"), kind="folder")),
        ("--folder b --csv a", Renamed(table=Path("a"), kind="csv", pictures=Path("b"))),
        ("--folder b a", Renamed(table=Path("a"), pictures=Path("b"))),
        ("--widths 1,2 a", Renamed(table=Path("a"), sizes=(1, 2))),
        ("--csv a --kind csv", Renamed(table=Path("a"), kind="csv")),
    ],
)
def test_a_former_flag_fills_the_first_field_that_nothing_else_gives(parser, words, expected):
    assert _read(parser, Renamed, *words.split()) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "missing: TABLE"),
        ("a --csv b", "--csv is a former spelling of TABLE, which is given too; drop --csv"),
        ("--csv a --kind odd", "--csv is a former spelling of --kind"),
        ("a --folder b --pictures c", "--folder is a former spelling of --pictures"),
        ("a --sizes 1 --widths 2", "--widths is a former spelling of --sizes"),
    ],
)
def test_a_field_given_twice_or_not_at_all(parser, words, message):
    with pytest.raises(ConfigError, match=message):
        _read(parser, Renamed, *words.split())


def test_former_flags_are_hidden(parser):
    add_options(parser, Renamed)
    assert not {"--folder", "--csv", "--widths"} & set(parser.format_help().split())


def test_descriptions_are_inherited():
    @dataclass(frozen=True, kw_only=True)
    class Own(Camera):
        """More.

        Attributes:
            count: told anew.
        """

    assert described(Own)["count"] == "told anew"
    assert described(Own)["name"] == "of the camera"
