"""Tables that hold their pictures, metadata of folders, local data sets, and a share held out."""

import io
import json
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from data_pipelines.errors import DataError
from data_pipelines.shards.index import ShardIndex
from data_pipelines.skips import Skips
from data_pipelines.sources.huggingface import local_tables, looks_local
from data_pipelines.sources.image_folder import ImageFolder
from data_pipelines.sources.source import Target, sources
from data_pipelines.sources.table import CaptionTable, picture_of
from eval.data.folders import open_dataset
from tests.support.shards import picture
from vlsuite.api.building import build_shards
from vlsuite.cli.main import main


def _read(source):
    skips = Skips()
    return list(source.samples(skips)), skips


def _jpeg(number: int) -> bytes:
    stream = io.BytesIO()
    Image.open(io.BytesIO(picture(number))).convert("RGB").save(stream, format="JPEG")
    return stream.getvalue()


def _write(path: Path, columns: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(columns), path)
    return path


def test_parquet_of_img2dataset_is_read_with_its_default_columns(tmp_path):
    table = _write(
        tmp_path / "00000.parquet",
        {
            "url": ["a", "b", "c", "d"],
            "key": ["0", "1", "2", "3"],
            "status": ["success", "failed_to_download", "success", "success"],
            "caption": ["one", "two", " ", "four"],
            "jpg": [_jpeg(0), None, _jpeg(1), b"<html>"],
        },
    )
    found, skips = _read(CaptionTable(table=table))
    assert [(s.captions, s.image, s.image_suffix) for s in found] == [(("one",), _jpeg(0), "jpg")]
    assert skips.counts == {"not downloaded": 1, "empty caption": 1, "not an image": 1}
    assert found[0].provenance["key"] == "00000.parquet/1"


def test_hugging_face_cells_hold_bytes_or_a_path(tmp_path):
    (tmp_path / "2.png").write_bytes(picture(2))
    cells = [
        {"bytes": picture(0), "path": "x.png"},
        {"bytes": None, "path": "2.png"},
        {"bytes": None, "path": None},
        None,
    ]
    table = _write(tmp_path / "t.parquet", {"image": cells, "text": ["a", ["b", "c"][0], "d", "e"]})
    found, skips = _read(CaptionTable(table=table))
    assert [(s.captions, s.provenance["key"]) for s in found] == [
        (("a",), "t.parquet/1"),
        (("b",), "2.png"),
    ]
    assert skips.counts == {"no image path": 2}
    assert picture_of(b"") is picture_of({"bytes": b""}) is picture_of(3) is None


def test_a_folder_or_a_pattern_of_tables_is_read_in_order(tmp_path):
    for number in range(3):
        cells = {"image_bytes": [picture(number)], "caption": [f"number {number}"]}
        _write(tmp_path / f"{number:05d}.parquet", cells)
    for place in (tmp_path, tmp_path / "*.parquet"):
        found, skips = _read(CaptionTable(table=place))
        assert [s.captions[0] for s in found] == ["number 0", "number 1", "number 2"]
        assert skips.total == 0
        assert len({s.uid for s in found}) == 3
    with pytest.raises(DataError, match="no table matches"):
        _read(CaptionTable(table=tmp_path / "x*.parquet"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no \.parquet"):
        _read(CaptionTable(table=tmp_path / "empty"))


def test_two_usual_columns_are_asked_about(tmp_path):
    table = _write(
        tmp_path / "t.parquet", {"jpg": [_jpeg(0)], "image": [picture(0)], "caption": ["a"]}
    )
    with pytest.raises(DataError, match=r"no column 'path'; columns: jpg, image, caption; choose"):
        _read(CaptionTable(table=table))
    found, _ = _read(CaptionTable(table=table, image_column="jpg"))
    assert found[0].image_suffix == "jpg"


def test_metadata_of_an_image_folder(tmp_path):
    for name in ("a.png", "sub/b.png", "c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture(len(name)))
    lines = ["file_name,text", "a.png,one", "a.png,uno", "gone.png,none", "../x.png,out", ",none"]
    (tmp_path / "metadata.csv").write_text("\n".join(lines))
    told = [{"file_name": "b.png", "caption": "two"}, {"file_name": "b.png", "caption": None}]
    (tmp_path / "sub" / "metadata.jsonl").write_text("\n".join([*map(json.dumps, told), "{"]))
    found, skips = _read(ImageFolder(folder=tmp_path))
    assert [(s.provenance["key"], s.captions) for s in found] == [
        ("a.png", ("one", "uno")),
        ("sub/b.png", ("two",)),
    ]
    assert skips.counts == {
        "not in metadata": 1,
        "missing image file": 1,
        "path leads out of the folder": 1,
        "no image path": 1,
        "empty caption": 1,
        "broken row": 1,
    }
    (tmp_path / "metadata.csv").write_text("name\na.png\n")
    with pytest.raises(DataError, match=r"no column 'file_name'; columns: name"):
        _read(ImageFolder(folder=tmp_path))


def test_local_tables_are_found_by_split_without_the_hub(tmp_path):
    for name in ("data/train-00000-of-00001", "data/test-00000-of-00001", "data/val/0"):
        _write(tmp_path / f"{name}.parquet", {"x": [1]})
    assert [p.name for p in local_tables(tmp_path, "train")] == ["train-00000-of-00001.parquet"]
    assert [p.name for p in local_tables(tmp_path, "validation")] == ["0.parquet"]
    with pytest.raises(DataError, match="splits: test, train, validation; choose by --split"):
        local_tables(tmp_path, "extra")
    with pytest.raises(DataError, match="does not exist"):
        local_tables(tmp_path / "absent", "train")
    assert not looks_local("org/name")
    assert looks_local("./name")
    assert looks_local("a/b/c")


def test_hugging_face_source_reads_a_local_table_with_class_names(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets", reason="needs the extra 'huggingface'")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    )
    rows = {"image": [{"bytes": picture(n), "path": None} for n in range(2)], "label": [1, 0]}
    whole = datasets.Dataset.from_dict(rows, features=features)
    whole.to_parquet(tmp_path / "train-00000-of-00001.parquet")

    def refuse(*given, **named):
        raise AssertionError("the hub is asked")

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", refuse)
    kind = sources.get("huggingface")
    for place in (tmp_path, tmp_path / "train-00000-of-00001.parquet"):
        found, skips = _read(kind(dataset=str(place), label_column="label"))
        assert [(s.captions, s.label) for s in found] == [
            (("a photo of a dog",), 1),
            (("a photo of a cat",), 0),
        ]
        assert skips.total == 0


def _uids(folder: Path) -> list[str]:
    shards = [ShardIndex.open(path) for path in sorted(folder.glob("*.tar"))]
    return [json.loads(s.read(i)["json"])["uid"] for s in shards for i in range(len(s))]


def _pictures(folder: Path) -> set[bytes]:
    shards = [ShardIndex.open(path) for path in sorted(folder.glob("*.tar"))]
    return {s.read(i)["png"] for s in shards for i in range(len(s))}


def test_holdout_divides_by_content_and_keeps_twins_together(tmp_path, capsys):
    cells = [picture(number % 30) for number in range(60)]
    names = [f"caption {number}" for number in range(60)]
    table = _write(tmp_path / "t.parquet", {"image": cells, "text": names})
    words = ["data", "build", "table", str(table), "--holdout", "0.25"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    assert "validation.data=" in capsys.readouterr().out
    train, held = tmp_path / "out" / "train", tmp_path / "out" / "holdout"
    assert len(_uids(train)) + len(_uids(held)) == 60
    assert not set(_uids(train)) & set(_uids(held))
    assert not _pictures(train) & _pictures(held)
    assert 4 <= len(_uids(held)) <= 28
    # other pictures in another order: each stays where it is
    more = _write(
        tmp_path / "more.parquet",
        {"image": [picture(n) for n in range(40, -1, -1)], "text": ["x"] * 41},
    )
    CaptionTable(table=more).build(Target(out_dir=tmp_path / "again", holdout=0.25))
    assert _pictures(held) <= _pictures(tmp_path / "again" / "holdout")
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*words, "--out", str(tmp_path / "out"), "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["table", "t.csv", "--holdout", "1.5"], "no share"),
        (["table", "t.csv", "--holdout", "0.1", "--layout", "benchmark"], "benchmark"),
        (["emoji", "--holdout", "0.1"], "--holdout"),
    ],
)
def test_wrong_holdouts_are_told_in_one_line(tmp_path, capsys, words, told):
    assert main(["data", "build", *words, "--out", str(tmp_path / "out")]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_share_that_holds_no_picture_out_is_told(tmp_path):
    table = _write(tmp_path / "t.parquet", {"image": [picture(1)], "text": ["one"]})
    told = "no usable sample for 'holdout' with --holdout 1e-06; skipped: none; choose another"
    with pytest.raises(DataError, match=told):
        CaptionTable(table=table).build(Target(out_dir=tmp_path / "out", holdout=1e-6))
    assert not (tmp_path / "out").exists()


def test_a_source_with_sets_of_its_own_holds_nothing_out(tmp_path):
    with pytest.raises(DataError, match="nothing to hold out"):
        build_shards("emoji", tmp_path / "out", holdout=0.1)


def test_class_folders_are_seen_and_their_held_out_part_knows_the_names(tmp_path, capsys):
    for number in range(24):
        place = tmp_path / "pets" / ("sea_otter", "cat", "Ox")[number % 3] / f"{number}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(_jpeg(number))
    (tmp_path / "pets" / "cat" / "notes.txt").write_text("no picture is called so")
    out = tmp_path / "own"
    words = ["data", "build", "image-folder", str(tmp_path / "pets"), "--out", str(out)]
    assert main([*words, "--holdout", "0.4"]) == 0
    assert "the 3 sub-folders are taken for the classes" in capsys.readouterr().err
    for part in ("train", "holdout"):
        assert (out / part / "classnames.txt").read_text() == "Ox\ncat\nsea otter\n"
        held = open_dataset(str(out / part))
        assert held.layout.classes.names == ("Ox", "cat", "sea otter")
        assert len(held) > 0
    assert main(["data", "validate", str(out)]) == 0

    (tmp_path / "pets" / "cat" / "1.txt").write_text("a caption of its own")
    assert main([*words[:-1], str(tmp_path / "captioned")]) == 0
    assert "taken for" not in capsys.readouterr().err
    (sample,) = _read(ImageFolder(folder=tmp_path / "pets"))[0]
    assert sample.captions == ("a caption of its own",)
