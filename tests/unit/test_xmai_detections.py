"""Detections from files, tables and models."""

import base64
import json
from pathlib import Path

import pytest

from eval.errors import EvaluationError
from eval.xmai.attributes import GROUPS, canonical, group_of, load_groups
from eval.xmai.detections import Detection, read_detections, write_detections
from eval.xmai.upstream.table import image_id, literal_list, picture_of, read_upstream_table
from tests.support.evaluation_data import noise_png
from tests.support.shards import SHARED_DATA, needs_shared_data


def test_round_trip_keeps_order(tmp_path: Path) -> None:
    found = [
        Detection(uid="b", name="dog", attribute="brown", score=0.9, box=(0.0, 1.5, 2.0, 3.0)),
        Detection(uid="a", name="été", attribute="", attribute_score=0.25),
        Detection(uid="b", name="cat", attribute="wet"),
    ]
    path = tmp_path / "deep" / "seen.jsonl"
    assert write_detections(path, found) == 3
    read = read_detections(path)
    assert read["b"] == (found[0], found[2])
    assert read["a"] == (found[1],)


def test_scores_and_box_may_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('\n{"uid": "a", "name": "dog", "attribute": "brown"}\n')
    assert read_detections(path)["a"][0] == Detection(uid="a", name="dog", attribute="brown")


@pytest.mark.parametrize(
    "line",
    ["nonsense", "[]", '{"uid": "a"}', '{"uid": 3, "name": "a", "attribute": ""}',
     '{"uid": "a", "name": "a", "attribute": "", "score": 2}',
     '{"uid": "a", "name": "a", "attribute": "", "score": NaN}',
     '{"uid": "a", "name": "a", "attribute": "", "box": [1, 2]}'],
)  # fmt: skip
def test_broken_lines_are_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "seen.jsonl"
    path.write_text(f'{{"uid": "a", "name": "dog", "attribute": "brown"}}\n{line}\n')
    with pytest.raises(EvaluationError, match="line 2 is no detection") as caught:
        read_detections(path)
    assert "\n" not in str(caught.value)


def test_missing_file_says_what_writes_it(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="xmai detect"):
        read_detections(tmp_path / "none")


def test_upstream_table(tmp_path: Path) -> None:
    picture = noise_png(0, side=64)
    cell = base64.urlsafe_b64encode(picture).decode()
    assert len(cell) > 200
    path = tmp_path / "upstream.csv"
    path.write_text(
        "image_id,file,objects,attributes,text\n"
        "\"0    397133\nName: image_id, dtype: int64\",a.png,\"['dog', 'tall tree']\","
        "\"['brown', 'green']\",a dog\n"
        f'7,{cell},[],[],"a cat, a hat"\n'
    )
    (tmp_path / "a.png").write_bytes(b"picture a")
    source = read_upstream_table(path)
    chunk = source.chunk(0, 9, with_pictures=True)
    assert [row.uid for row in chunk.rows] == ["397133", "7"]
    assert [row.text for row in chunk.rows] == ["a dog", "a cat, a hat"]
    assert chunk.pictures == (b"picture a", picture)
    assert [(one.name, one.attribute) for one in chunk.rows[0].seen] == [
        ("dog", "brown"),
        ("tall tree", "green"),
    ]


def test_pictures_that_come_twice_get_rows_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "twice.csv"
    path.write_text("image_id,original\n5,a\n5,b\n6,c\n")
    rows = read_upstream_table(path).chunk(0, 3, with_pictures=True).rows
    assert [row.uid for row in rows] == ["5@0", "5@1", "6"]


@pytest.mark.parametrize("cell", ["__import__('os')", "[1, 2]", "['a'", "{}", "(" * 500])
def test_lists_are_read_without_running_them(cell: str) -> None:
    with pytest.raises(ValueError, match="no list"):
        literal_list(cell)


def test_table_errors_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("text,objects,attributes\na,\"['x', 'y']\",\"['z']\"\n")
    with pytest.raises(EvaluationError, match="line 2: objects and attributes"):
        read_upstream_table(path)
    with pytest.raises(EvaluationError, match="no column 'words'"):
        read_upstream_table(path, caption_column="words")
    with pytest.raises(EvaluationError, match="cannot read"):
        read_upstream_table(tmp_path / "none.csv")


def test_image_ids_as_printed_series() -> None:
    assert image_id("0    397133\nName: image_id, dtype: int64") == "397133"
    assert image_id(" 397133 ") == "397133"
    assert image_id("a/b 3.png") == "a/b 3.png"
    assert picture_of("short.png") is None
    assert picture_of("long name.png" * 20) is None


@needs_shared_data
def test_stored_outputs_of_upstream_are_a_table() -> None:
    source = read_upstream_table(SHARED_DATA / "xmai_coco_baselines_first600.csv")
    assert len(source) == 600
    assert source.rows[0].text == "A man is in a kitchen making pizzas."


def test_groups_of_words(tmp_path: Path) -> None:
    assert group_of("Grey") == "colour"
    assert canonical("tiny") == "small"
    assert group_of("nonsense") is None
    assert all(canonical(word) == word for words in GROUPS.values() for word in words)
    own = tmp_path / "groups.json"
    own.write_text(json.dumps({"shape": ["round", "square"]}))
    assert load_groups(own) == {"shape": ("round", "square")}
    own.write_text('{"shape": [1]}')
    with pytest.raises(EvaluationError, match="no attribute groups"):
        load_groups(own)
