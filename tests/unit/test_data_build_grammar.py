"""``vlsuite data build SOURCE INPUT... --out DIR``: the same for all, and former spellings work."""

import json
import shlex
from dataclasses import MISSING, fields, replace
from functools import cache

import pytest

import vlsuite
from data_pipelines.errors import ConfigError
from data_pipelines.options import flag_of, former_flags
from data_pipelines.shards.index import ShardIndex
from data_pipelines.sources.source import command_line, sources
from tests.support.shards import picture
from vlsuite.cli import main as program
from vlsuite.cli.main import main
from vlsuite.cli.options import read_options

#: Sources that make their own data.
_WITHOUT_INPUT = {"detection-scenes", "emoji", "motion", "synthetic"}

#: How a source was asked for, and how it is now; OUT is added to both.
_FORMERLY = {
    "coco": [("--annotations a.json --images pictures", "a.json --images pictures")],
    "cuhk-pedes": [("--root . --split val", ". --split val")],
    "detection": [("--annotations a.json --images coco.tar", "a.json --images coco.tar")],
    "detection-scenes": [("--sprites a,b", "--cut-outs a,b")],
    "huggingface": [
        ("--dataset saved --caption-column c", "saved --caption-column c"),
        ("--dataset d --subset val --label-column l", "d --split val --label-column l"),
        ("d --subset val --split val --label-column l", "d --split val --label-column l"),
    ],
    "icfg-pedes": [("--root .", ".")],
    "image-folder": [("--root pictures --captions name", "pictures --captions name")],
    "motion": [
        ("--clips 8 --sprite-shards a.tar,b.tar", "--train 8 --cut-outs a.tar,b.tar"),
    ],
    "rstp-reid": [("--root .", ".")],
    "shards": [("--shards old/{0..2}.tar,new", "old/{0..2}.tar new")],
    "table": [
        ("--table t.csv", "t.csv"),
        ("--table t.csv --root pictures", "t.csv --images pictures"),
        ("t.csv --root pictures", "t.csv --images pictures"),
    ],
    "video": [
        ("--root pictures", "pictures --format folder"),
        ("--table t.csv --root pictures", "t.csv --videos pictures --format table"),
        ("--table t.csv --path-column p", "t.csv --video-column p --format table"),
        ("--webvid t.csv", "t.csv --format webvid"),
        ("--msr-vtt a.json --only test --root .", "a.json --only test --videos . --format msr-vtt"),
        ("--msvd l.txt", "l.txt --format msvd"),
        ("--didemo a.json --moments", "a.json --moments --format didemo"),
        ("--lsmdc t.csv --root .", "t.csv --videos . --format lsmdc"),
        ("t.csv --root pictures", "t.csv --videos pictures"),
    ],
}  # fmt: skip
_CASES = [(name, *case) for name, cases in _FORMERLY.items() for case in cases]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with what the commands name: pictures, a table of them, annotations."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    for number in range(2):
        (tmp_path / "pictures" / f"a_cat_{number}.png").write_bytes(picture(number))
    (tmp_path / "t.csv").write_text("path,caption\na_cat_0.png,a cat\na_cat_1.png,two cats\n")
    (tmp_path / "a.json").write_text("{}")
    return tmp_path


@cache
def _parser():
    return program.build_parser("data")


def _parsed(name, words):
    given = ["data", "build", name, *shlex.split(words), "--out", "out"]
    parsed = _parser().parse_args(given)
    return read_options(parsed, sources.get(name))


def _refused(capsys, *words):
    assert main(["data", "build", *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    return said.err


@pytest.mark.parametrize(("name", "formerly", "now"), _CASES)
def test_a_former_spelling_says_the_same(place, name, formerly, now):
    assert _parsed(name, formerly) == _parsed(name, now)


def test_every_former_spelling_is_tried():
    for name, source, _ in sources.listed():
        tried = {word for case in _FORMERLY.get(name, ()) for word in case[0].split()}
        assert former_flags(source).keys() <= tried, name


def test_former_spellings_are_not_in_the_help(capsys):
    for name, source, _ in sources.listed():
        with pytest.raises(SystemExit):
            _parser().parse_args(["data", "build", name, "--help"])
        shown = set(capsys.readouterr().out.replace(",", " ").split())
        assert not former_flags(source).keys() & shown, name


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("image-folder pictures --root .", "--root is a former spelling of FOLDER, which is given"),
        ("table t.csv --root . --images pictures", "--root is a former spelling of --images"),
        ("table t.csv --table a.csv", "--table is a former spelling of TABLE"),
        ("shards a b --shards c", "--shards is a former spelling of SHARDS"),
        ("huggingface d --split val --subset test --label-column l", "--subset is a former"),
        ("video t.csv --webvid t2.csv", "--webvid is a former spelling of FOLDER|TABLE|LIST"),
        ("video --table t.csv --webvid t2.csv", "--webvid is a former spelling of FOLDER|TABLE"),
        ("video --table t.csv --format didemo", "--table is a former spelling of --format"),
        ("video t.csv --videos . --root pictures", "--root is a former spelling of --videos"),
    ],
)
def test_one_thing_said_twice_is_refused(place, capsys, words, told):
    assert told in _refused(capsys, *words.split(), "--out", "out")
    assert not (place / "out").exists()


def test_the_input_is_a_word_and_may_stand_anywhere(place, capsys):
    for number, words in enumerate((
        "pictures --captions name --out OUT",
        "--captions name --out OUT pictures",
        "--root pictures --captions name --out OUT",
    )):  # fmt: skip
        out = place / f"out{number}"
        words = words.replace("OUT", str(out)).split()
        assert main(["data", "build", "image-folder", *words]) == 0
    texts = {path.read_bytes() for path in place.glob("out*/manifest.json")}
    assert len(texts) == 1
    assert b'"vlsuite data build image-folder pictures --captions name"' in texts.pop()
    index = ShardIndex.open(place / "out0" / "shard-000000.tar")
    assert index.read(0)["txt"] == b"a cat 0"


@pytest.mark.parametrize("name", sources.names())
def test_without_its_input_a_source_shows_the_example(capsys, name):
    source = sources.get(name)
    positional = [entry for entry in fields(source) if entry.metadata.get("positional")]
    if name in _WITHOUT_INPUT:
        assert not positional
        return
    (entry,) = positional
    needed = [
        word
        for other in fields(source)
        if other.default is MISSING and other is not entry
        for word in (flag_of(other), "x")
    ]
    said = _refused(capsys, name, *needed, "--out", "x")
    assert (
        f"are required: {entry.metadata['metavar']}, as in: {source.EXAMPLE.splitlines()[0]}"
        in said
    )


def test_a_pattern_that_the_shell_resolved_is_told(place, capsys):
    said = _refused(capsys, "table", "t.csv", "t2.csv", "--out", "x")
    assert "too many words: t2.csv; a pattern of several files goes in quotes" in said
    assert "in quotes" not in _refused(capsys, "emoji", "t.csv", "--out", "x")


@pytest.mark.parametrize("name", sources.names())
def test_examples_can_be_typed(name):
    text = sources.get(name).EXAMPLE.replace("\\\n", " ")
    for line in text.splitlines():
        words = shlex.split(line)
        assert words[:4] == ["vlsuite", "data", "build", name]
        _parser().parse_args(words[1:])


@pytest.mark.parametrize(("name", "_", "now"), _CASES)
def test_the_command_in_the_manifest_is_what_was_typed(place, name, _, now):
    words = f"{now} --template 'a {{c}} of mine'" if name == "huggingface" else now
    source = _parsed(name, words)
    command = command_line(name, source).removeprefix(f"vlsuite data build {name}")
    assert _parsed(name, command) == source


def test_switches_in_the_manifest_are_words_alone(place):
    source = replace(_parsed("video", "pictures"), cut=True)
    assert command_line("video", source) == "vlsuite data build video pictures --cut"


def test_python_knows_the_former_names_too(place):
    old = vlsuite.build_shards("table", out=place / "old", table="t.csv", root="pictures")
    new = vlsuite.build_shards("table", out=place / "new", table="t.csv", images="pictures")
    assert old == new
    assert old.num_samples == 2
    named = vlsuite.build_shards("image-folder", out=place / "n", root="pictures", captions="name")
    assert named.num_samples == 2
    with pytest.raises(ConfigError, match="--root is a former spelling of FOLDER"):
        vlsuite.build_shards("image-folder", out=place / "x", root="a", folder="b")


def _json(path, content):
    path.write_text(json.dumps(content))


@pytest.fixture
def paths(place):
    """Paths of all kinds that may be named where a source belongs."""
    (place / "shards").mkdir()
    (place / "shards" / "0.tar").write_bytes(b"")
    (place / "clips").mkdir()
    (place / "clips" / "a.MP4").write_bytes(b"")
    (place / "RSTPReid" / "imgs").mkdir(parents=True)
    (place / "RSTPReid" / "data_captions.json").write_text("[]")
    (place / "saved").mkdir()
    (place / "saved" / "state.json").write_text("{}")
    (place / "spans.csv").write_text("path,caption,start\nb/a.mp4,x,1\n")
    (place / "pairs.parquet").write_bytes(b"")
    (place / "a b.csv").write_text("path,caption\n")
    (place / "notes.md").write_text("")
    pictures = [{"id": 1, "file_name": "a.jpg"}]
    _json(
        place / "said.json", {"images": pictures, "annotations": [{"image_id": 1, "caption": "x"}]}
    )
    _json(place / "boxes.json", {"images": pictures, "annotations": [{"image_id": 1, "bbox": []}]})
    _json(place / "didemo.json", [{"video": "a.mp4", "description": "x"}])
    return place


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("pictures", "data build image-folder pictures --out DIR (see"),
        ("t.csv --holdout 0.1", "data build table t.csv --holdout 0.1 --out DIR (see"),
        ("pairs.parquet --out d", "data build table pairs.parquet --out d (see"),
        ("'a b.csv'", "data build table 'a b.csv' --out DIR (see"),
        ("shards/0.tar --out=d", "data build shards shards/0.tar --out=d (see"),
        ("clips", "data build video clips --out DIR (see"),
        ("spans.csv", "data build video spans.csv --out DIR (see"),
        ("didemo.json", "data build video didemo.json --out DIR (see"),
        ("said.json", "data build coco said.json --images DIR --out DIR (see"),
        ("said.json --images p", "data build coco said.json --images p --out DIR (see"),
        ("boxes.json", "data build detection boxes.json --out DIR (see"),
        ("saved", "data build huggingface saved --out DIR (see"),
        ("RSTPReid", "data build rstp-reid RSTPReid --out DIR (see"),
        ("notes.md", "there is no 'notes.md'; choose from coco, "),
        ("absent.csv", "there is no 'absent.csv'; choose from coco, "),
    ],
)  # fmt: skip
def test_a_path_where_a_source_belongs_names_the_source(paths, capsys, words, told):
    said = _refused(capsys, *shlex.split(words))
    assert told.replace("data build", "; write vlsuite data build") in said
