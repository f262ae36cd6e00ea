"""Sources: what they read, and that everything they leave out is counted."""

import csv
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from data_pipelines.errors import DataError, UnknownNameError
from data_pipelines.images import MAX_PIXELS
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.skips import MAX_EXAMPLES, Skips
from data_pipelines.sources.coco import CocoCaptions
from data_pipelines.sources.image_folder import ImageFolder
from data_pipelines.sources.shards import ExistingShards
from data_pipelines.sources.source import Target, command_line, sources
from data_pipelines.sources.table import CaptionTable
from tests.support.shards import SHARED_DATA, needs_shared_data, picture, write_tar
from vlsuite.cli.main import main


def _read(source):
    skips = Skips()
    return list(source.samples(skips)), skips


def _images(folder, names):
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    return folder


def test_sources_are_found_by_name():
    assert {"coco", "emoji", "huggingface", "image-folder", "shards", "table"} <= set(
        sources.names()
    )
    for name, source, problem in sources.listed():
        assert not problem
        assert source.HELP
        assert source.EXAMPLE.startswith(f"vlsuite data build {name}")
    with pytest.raises(UnknownNameError, match="closest: image-folder"):
        sources.get("image-foldr")


def test_image_folder_with_caption_files(tmp_path):
    root = _images(tmp_path / "in", ["b/2.png", "a.png", "no-text.png", "blank.png", "latin.png"])
    (root / "a.txt").write_text("a cat\n\n a pet \n")
    (root / "b" / "2.txt").write_text("two")
    (root / "blank.txt").write_text(" \n")
    (root / "latin.txt").write_bytes(b"caf\xe9")
    (root / "fake.jpg").write_bytes(b"<html>")
    (root / "fake.txt").write_text("fake")
    (root / "cut.png").write_bytes(picture(9, side=40)[:200])
    (root / "cut.txt").write_text("cut")
    (root / "movie.mp4").write_bytes(b"")
    (root / ".hidden.png").write_bytes(b"")
    found, skips = _read(ImageFolder(folder=root))
    assert [(s.provenance["key"], s.captions) for s in found] == [
        ("a.png", ("a cat", "a pet")),
        ("b/2.png", ("two",)),
    ]
    assert skips.counts == {
        "broken image": 1,
        "caption not UTF-8": 1,
        "empty caption": 1,
        "no caption file": 1,
        "not an image": 1,
        "not an image file": 1,
    }


def test_image_folder_of_classes_makes_a_benchmark(tmp_path):
    root = _images(tmp_path / "in", ["dog/1.png", "red_cat/1.png", "red_cat/2.png", "loose.png"])
    source = ImageFolder(folder=root, captions="folder", template="one {c}")
    target = Target(out_dir=tmp_path / "out", layout="benchmark", split="val")
    manifest = source.build(target)
    assert manifest.details["kind"] == "classification"
    assert manifest.skipped == {"not in a class folder": 1}
    assert (tmp_path / "out" / "classnames.txt").read_text() == "dog\nred cat\n"
    index = ShardIndex.open(tmp_path / "out" / "val" / "0.tar")
    assert [index.read(i)["cls"] for i in range(3)] == [b"0", b"1", b"1"]
    assert index.read(1)["txt"] == b"one red cat"


def test_file_names_as_captions_and_converted_formats(tmp_path):
    (tmp_path / "big_red-bus.bmp").write_bytes(picture(0, format="BMP"))
    (tmp_path / "photo.PNG").write_bytes(picture(1, format="JPEG"))
    found, skips = _read(ImageFolder(folder=tmp_path, captions="name"))
    assert [(s.captions, s.image_suffix) for s in found] == [
        (("big red bus",), "png"),
        (("photo",), "jpg"),
    ]
    assert found[0].provenance["converted_from"] == "bmp"
    assert skips.total == 0


def test_pixel_bombs_are_refused_before_decoding(tmp_path):
    side = 9000
    assert side * side > MAX_PIXELS
    header = picture(0)[:16] + side.to_bytes(4, "big") * 2 + picture(0)[24:]
    (tmp_path / "bomb.png").write_bytes(header)
    found, skips = _read(ImageFolder(folder=tmp_path, captions="name"))
    assert not found
    assert set(skips.counts) <= {"too many pixels", "broken image", "not an image"}
    assert skips.total == 1


def _write_csv(path, rows, delimiter=","):
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, delimiter=delimiter).writerows(rows)


ROWS = [
    ("1.png", "one"),
    ("2.png", 'two, with "quotes"\nand a break'),
    ("1.png", "uno"),
    ("1.png", "one"),
    ("gone.png", "no file"),
    ("3.png", "  "),
    ("", "no path"),
]


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t")])
def test_text_tables(tmp_path, suffix, delimiter):
    _images(tmp_path, ["1.png", "2.png", "3.png"])
    table = tmp_path / f"pairs{suffix}"
    _write_csv(table, [("path", "caption"), *ROWS, ("x", "y", "z")], delimiter)
    with table.open("ab") as stream:
        stream.write(b"3.png" + delimiter.encode() + b"caf\xe9\n")
    found, skips = _read(CaptionTable(table=table, quoting="rfc4180"))
    assert [(s.provenance["key"], s.captions) for s in found] == [
        ("1.png", ("one", "uno")),
        ("2.png", ('two, with "quotes"\nand a break',)),
    ]
    assert skips.counts == {
        "empty caption": 1,
        "missing image file": 1,
        "no image path": 1,
        "text not UTF-8": 1,
        "wrong number of cells": 1,
    }


def test_parquet_tables_with_lists_and_nulls(tmp_path):
    _images(tmp_path / "pictures", ["1.png", "2.png"])
    table = tmp_path / "pairs.parquet"
    columns = {"file": ["1.png", None, "2.png"], "texts": [["a", "b"], ["c"], None]}
    parquet.write_table(pa.table(columns), table)
    found, skips = _read(
        CaptionTable(
            table=table,
            image_column="file",
            caption_column="texts",
            images=tmp_path / "pictures",
        )
    )
    assert [s.captions for s in found] == [("a", "b")]
    assert skips.counts == {"empty caption": 1, "no image path": 1}


def test_wrong_columns_are_an_error_that_lists_the_columns(tmp_path):
    _write_csv(tmp_path / "t.csv", [("url", "text"), ("1.png", "one")])
    with pytest.raises(DataError, match=r"no column 'path'; columns: url, text; .*--image-column"):
        _read(CaptionTable(table=tmp_path / "t.csv"))
    parquet.write_table(pa.table({"path": ["1.png"]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="no column 'caption'; columns: path"):
        _read(CaptionTable(table=tmp_path / "t.parquet"))


def test_unreadable_tables_are_errors(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        _read(CaptionTable(table=tmp_path / "none.csv"))
    with pytest.raises(DataError, match=r"none of \.csv, \.tsv, \.jsonl, \.parquet"):
        _read(CaptionTable(table=tmp_path / "t.xlsx"))
    (tmp_path / "t.parquet").write_bytes(b"not parquet")
    with pytest.raises(DataError, match="as Parquet"):
        _read(CaptionTable(table=tmp_path / "t.parquet"))
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(DataError, match=r"columns: \(none\)"):
        _read(CaptionTable(table=tmp_path / "empty.csv"))


def test_coco_captions(tmp_path):
    images = _images(tmp_path / "val", ["a.png", "b.png"])
    content = {
        "images": [
            {"id": 7, "file_name": "b.png"},
            {"id": 3, "file_name": "a.png"},
            {"id": 4, "file_name": "gone.png"},
            {"id": 5, "file_name": "silent.png"},
        ],
        "annotations": [
            {"image_id": 3, "caption": "an a\n"},
            {"image_id": 7, "caption": "a b"},
            {"image_id": 3, "caption": "another a"},
            {"image_id": 4, "caption": "gone"},
            {"image_id": 99, "caption": "lost"},
            {"image_id": 5, "caption": " "},
        ],
    }
    path = tmp_path / "captions.json"
    path.write_text(json.dumps(content))
    found, skips = _read(CocoCaptions(annotations=path, images=images))
    assert [s.captions for s in found] == [("a b",), ("an a", "another a")]
    assert skips.counts == {
        "caption of an unknown image": 1,
        "empty caption": 1,
        "missing image file": 1,
        "no caption": 1,
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "no readable JSON"),
        ('{"images": []}', "no list 'annotations'; found: images"),
        ('{"images": [{"id": 1}], "annotations": []}', "lacks id or file_name"),
        ("[]", "no list 'images'"),
    ],
)
def test_broken_coco_files_are_errors(tmp_path, content, message):
    path = tmp_path / "captions.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        _read(CocoCaptions(annotations=path, images=tmp_path))


def test_existing_shards_keep_permanent_uids_and_make_missing_ones(tmp_path):
    uid = "ab" * 16
    write_tar(
        tmp_path / "in" / "0.tar",
        [
            ("a.png", picture(0)),
            ("a.txt", b"one"),
            ("a.json", json.dumps({"uid": uid, "url": "x"}).encode()),
            ("b.png", picture(1)),
            ("b.txt", b"two"),
            ("b.json", b'{"uid": "photos/2", "captions": {"de": "zwei"}}'),
            ("b.ogg", b"sound"),
            ("c.txt", b"no image"),
            ("d.png", picture(2)),
            ("e.png", picture(3)),
            ("e.txt", b"again"),
            ("e.json", json.dumps({"uid": uid}).encode()),
        ],
    )
    found, skips = _read(ExistingShards(shards=(str(tmp_path / "in"),)))
    assert [s.captions for s in found] == [("one",), ("two",)]
    assert found[0].uid == uid
    assert found[0].provenance["url"] == "x"
    assert found[1].provenance["source_uid"] == "photos/2"
    assert found[1].provenance["source_captions"] == {"de": "zwei"}
    assert skips.counts == {
        "member .ogg dropped": 1,
        "no caption": 1,
        "uid repeated": 1,
        "unusable members": 1,
    }


def test_uids_survive_resharding(tmp_path):
    _images(tmp_path / "in", [f"{i}.png" for i in range(7)])
    ImageFolder(folder=tmp_path / "in", captions="name").build(Target(out_dir=tmp_path / "once"))
    again = ExistingShards(shards=(str(tmp_path / "once"),))
    again.build(Target(out_dir=tmp_path / "twice", max_samples=2))

    def keys(folder):
        return [key for path in find_shards([folder]) for key in ShardIndex.open(path).keys]

    assert len(find_shards([tmp_path / "twice"])) == 4
    assert keys(tmp_path / "once") == keys(tmp_path / "twice")


def test_hugging_face_data_set_from_disk(tmp_path):
    datasets = pytest.importorskip("datasets", reason="needs the extra 'huggingface'")
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "texts": datasets.Sequence(datasets.Value("string")),
            "kind": datasets.ClassLabel(names=["cat", "dog"]),
        }
    )
    rows = {
        "image": [{"bytes": picture(0), "path": None}, {"bytes": b"html", "path": None}, None],
        "texts": [["a", "b"], ["c"], ["d"]],
        "kind": [1, 0, 0],
    }
    saved = str(tmp_path / "saved")
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(saved)
    kind = sources.get("huggingface")
    found, skips = _read(kind(dataset=saved, caption_column="texts", label_column="kind"))
    assert [(s.captions, s.label) for s in found] == [(("a", "b"), 1)]
    assert skips.counts == {"missing image file": 1, "not an image": 1}
    found, _ = _read(kind(dataset=saved, label_column="kind"))
    assert found[0].captions == ("a photo of a dog",)
    with pytest.raises(DataError, match="no column 'text'; columns: image, texts, kind"):
        _read(kind(dataset=saved, caption_column="text"))
    with pytest.raises(DataError, match="does not exist"):
        _read(kind(dataset=str(tmp_path / "absent"), caption_column="text"))


@pytest.mark.parametrize("flag", ["--split", "--subset"])
def test_the_split_that_is_read_names_the_one_that_is_written(tmp_path, flag):
    datasets = pytest.importorskip("datasets", reason="needs the extra 'huggingface'")
    features = datasets.Features({"image": datasets.Image(), "text": datasets.Value("string")})
    splits = {
        name: datasets.Dataset.from_dict(
            {"image": [{"bytes": picture(number), "path": None}], "text": [name]}, features=features
        )
        for number, name in enumerate(("train", "val"))
    }
    datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "saved"))
    words = ["data", "build", "huggingface", str(tmp_path / "saved"), "--caption-column", "text"]
    out = tmp_path / "out"
    assert main([*words, flag, "val", "--layout", "benchmark", "--out", str(out)]) == 0
    assert [path.name for path in out.iterdir() if path.is_dir()] == ["val"]
    assert ShardIndex.open(out / "val" / "0.tar").read(0)["txt"] == b"val"


def test_overwriting_replaces_only_when_asked(tmp_path):
    source = ImageFolder(folder=_images(tmp_path / "in", ["a.png"]), captions="name")
    source.build(Target(out_dir=tmp_path / "out"))
    with pytest.raises(DataError, match="--overwrite"):
        source.build(Target(out_dir=tmp_path / "out"))
    source.build(Target(out_dir=tmp_path / "out", overwrite=True))


def test_skips_keep_few_examples_and_all_counts():
    skips = Skips()
    for number in range(MAX_EXAMPLES + 5):
        skips.add("bad", str(number))
    assert skips.counts == {"bad": MAX_EXAMPLES + 5}
    assert len(skips.examples["bad"]) == MAX_EXAMPLES


def test_recorded_command_names_settings_that_differ(tmp_path):
    source = CaptionTable(table=tmp_path / "t.csv", caption_column="text")
    assert command_line("table", source) == (
        f"vlsuite data build table {tmp_path / 't.csv'} --caption-column text"
    )
    assert command_line("shards", ExistingShards(shards=("a", "b"))).endswith("build shards a b")


@needs_shared_data
def test_real_shards_with_sound_and_languages_are_read():
    found, skips = _read(ExistingShards(shards=(str(SHARED_DATA / "stamps-000000.tar"),)))
    assert len(found) == 785
    assert skips.counts == {"member .sound.ogg dropped": 131, "member .speech.ogg dropped": 767}
    assert found[0].provenance["source_uid"] == "stamps/animals/amphibians/frog-1"
