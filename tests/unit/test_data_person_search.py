"""CUHK-PEDES, ICFG-PEDES and RSTPReid in miniature, laid out as they are distributed."""

import json

import pytest

from data_pipelines.errors import DataError
from data_pipelines.shards.index import ShardIndex
from data_pipelines.skips import Skips
from data_pipelines.sources.source import sources
from tests.support.shards import picture
from vlsuite.cli.main import main

SETS = {
    "cuhk-pedes": ("CUHK-PEDES", "reid_raw.json", "file_path"),
    "icfg-pedes": ("ICFG-PEDES", "ICFG-PEDES.json", "file_path"),
    "rstp-reid": ("RSTPReid", "data_captions.json", "img_path"),
}


def _entry(name, number, split, path_field):
    path = f"cam_a/{number}.jpg"
    entry = {
        "id": number // 2 + 1,
        path_field: path,
        "captions": [f"A man {number} wears  a coat. ", f"person {number}"],
        "split": split,
    }
    if name != "rstp-reid":
        entry["processed_tokens"] = [["a", "man"], ["person"]]
    return entry


def _write(root, name, change=None):
    """A set of 4 training, 2 validation and 2 test images; ``change`` edits its list."""
    _, list_name, path_field = SETS[name]
    splits = ["train"] * 4 + ["val"] * 2 + ["test"] * 2
    entries = [_entry(name, number, split, path_field) for number, split in enumerate(splits)]
    for number in range(8):
        path = root / "imgs" / f"cam_a/{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number, format="JPEG"))
    if change:
        change(entries)
    (root / list_name).write_text(json.dumps(entries))
    return root


def _read(name, root, split="train"):
    skips = Skips()
    return list(sources.get(name)(folder=root, split=split).samples(skips)), skips


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(("split", "numbers"), [("train", range(4)), ("test", range(6, 8))])
def test_a_split_is_read_with_identities(tmp_path, name, split, numbers):
    found, skips = _read(name, _write(tmp_path, name), split)
    assert [row.captions for row in found] == [
        (f"A man {n} wears a coat.", f"person {n}") for n in numbers
    ]
    assert [row.provenance["identity"] for row in found] == [n // 2 + 1 for n in numbers]
    assert [row.image for row in found] == [picture(n, format="JPEG") for n in numbers]
    assert skips.total == 0


@pytest.mark.parametrize("name", SETS)
def test_the_folder_above_will_do(tmp_path, name):
    above = tmp_path / "sets"
    inside, _ = _read(name, _write(above / SETS[name][0], name))
    assert _read(name, above)[0] == inside


def test_icfg_list_under_its_other_name(tmp_path):
    _write(tmp_path, "icfg-pedes")
    (tmp_path / "ICFG-PEDES.json").rename(tmp_path / "ICFG_PEDES.json")
    assert len(_read("icfg-pedes", tmp_path)[0]) == 4


def test_unusable_entries_are_counted(tmp_path):
    def change(entries):
        entries[0]["captions"] = ["  "]
        entries[1]["file_path"] = "../secret.jpg"
        entries[2]["id"] = "17"
        entries[3]["file_path"] = entries[2]["file_path"]
        entries.append({**entries[2], "file_path": "gone.jpg"})

    found, skips = _read("cuhk-pedes", _write(tmp_path, "cuhk-pedes", change))
    assert [row.provenance["identity"] for row in found] == [17]
    assert skips.counts == {
        "image listed twice": 1,
        "image outside the folder": 1,
        "missing image file": 1,
        "no caption": 1,
    }


def _drop(field):
    return lambda entries: entries[1].pop(field)


def _set(field, value):
    return lambda entries: entries[1].update({field: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_drop("img_path"), r"entry 1 has no field 'img_path' \(fields: id, captions"),
        (_drop("captions"), "has no field 'captions'"),
        (_drop("id"), "has no field 'id'"),
        (_drop("split"), "has no field 'split'"),
        (_set("captions", "a man"), "no list of texts in 'captions'"),
        (_set("captions", [3]), "no list of texts in 'captions'"),
        (_set("id", True), "has the id True, not a whole number"),
        (_set("id", "p12"), "has the id 'p12', not a whole number"),
        (_set("split", "training"), "is of split 'training', none of train, val, test"),
        (_set("img_path", ""), "has no path in 'img_path'"),
        (lambda entries: entries.insert(1, "x"), "entry 1 is a str, not an object"),
    ],
)
def test_wrong_fields_are_one_line(tmp_path, change, message):
    with pytest.raises(DataError, match=message) as caught:
        _read("rstp-reid", _write(tmp_path, "rstp-reid", change))
    assert "\n" not in str(caught.value)


def test_missing_parts_are_one_line(tmp_path):
    with pytest.raises(DataError, match="does not exist, or is a file; check the path"):
        _read("rstp-reid", tmp_path / "absent")
    with pytest.raises(DataError, match=r"has no data_captions\.json; check the path"):
        _read("rstp-reid", tmp_path)
    (tmp_path / "data_captions.json").write_text("{}")
    with pytest.raises(DataError, match="has no folder 'imgs'"):
        _read("rstp-reid", tmp_path)
    (tmp_path / "imgs").mkdir()
    with pytest.raises(DataError, match="holds a dict, not a list"):
        _read("rstp-reid", tmp_path)
    (tmp_path / "data_captions.json").write_text("[")
    with pytest.raises(DataError, match="no readable JSON"):
        _read("rstp-reid", tmp_path)
    root = _write(tmp_path, "rstp-reid", lambda entries: entries.__delitem__(slice(4, 6)))
    with pytest.raises(DataError, match="no entry of split 'val'"):
        _read("rstp-reid", root, "val")


def test_command_builds_training_and_evaluation_sets(tmp_path, capsys):
    root = _write(tmp_path / "CUHK-PEDES", "cuhk-pedes")
    build = ["data", "build", "cuhk-pedes", str(root)]
    assert main([*build, "--split", "train", "--out", str(tmp_path / "train")]) == 0
    assert "4 samples" in capsys.readouterr().out
    row = ShardIndex.open(tmp_path / "train" / "shard-000000.tar").read(3)
    fields = json.loads(row["json"])
    assert (fields["identity"], fields["captions"][1]) == (2, "person 3")
    assert set(row) == {"jpg", "txt", "json"}
    test = [*build, "--split", "test", "--layout", "benchmark", "--out", str(tmp_path / "eval")]
    assert main(test) == 0
    row = ShardIndex.open(tmp_path / "eval" / "test" / "0.tar").read(0)
    assert json.loads(row["json"])["identity"] == 4
    assert row["txt"].decode().splitlines() == ["A man 6 wears a coat.", "person 6"]
    manifest = json.loads((tmp_path / "eval" / "test" / "manifest.json").read_text())
    assert manifest["origin"]["created_by"].count("--split") == 1
    assert main([*build, "--split", "val", "--out", str(tmp_path / "train")]) == 2
