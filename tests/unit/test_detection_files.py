"""COCO and LVIS files as distributed: splits, federated lists, masks; everything is counted."""

import json

import numpy as np
import pytest

from data_pipelines.detection.annotations import Rle
from data_pipelines.detection.listed import read_annotation_file
from data_pipelines.detection.splits import COCO_BASE, COCO_NOVEL, split_vocabulary
from data_pipelines.detection.vocabulary import Category, Vocabulary, vocabulary_of
from data_pipelines.errors import ConfigError, DataError
from data_pipelines.skips import Skips
from tests.support.detection_files import annotation, category, coco, lvis
from tests.support.shards import SHARED_DATA, needs_shared_data


def _read(tmp_path, content, **options):
    path = tmp_path / "instances.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    skips = Skips()
    return read_annotation_file(path, skips, **options), skips


def _refused(tmp_path, content, **options):
    with pytest.raises(DataError) as caught:
        _read(tmp_path, content, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_coco_as_distributed(tmp_path):
    found, skips = _read(tmp_path, coco())
    first, second, third = (picture.annotations for picture in found.pictures)
    assert [picture.names[0] for picture in found.pictures][:1] == ["000000000007.jpg"]
    assert first.picture_id == 7
    assert first.size == (30, 40)
    np.testing.assert_array_equal(first.boxes, [[4, 6, 14, 16], [0.5, 1.25, 12.5, 21.75]])
    assert first.boxes.dtype == np.float32
    assert first.labels.tolist() == [1, 0]
    assert first.areas.tolist() == [100.0, 99.5]
    assert first.negatives is None
    assert first.masks[0][0].shape == (4, 2)
    assert first.masks[1] is None
    assert second.is_crowd.tolist() == [True]
    assert isinstance(second.masks[0], Rle)
    assert third.num_objects == 0
    assert third.masks is None
    assert found.vocabulary.names == ("person", "cat", "bottle")
    assert found.vocabulary.source_ids == (1, 17, 44)
    assert found.vocabulary.rows_of_group("novel") == ()
    assert skips.counts == {}
    assert skips.inputs["pictures without annotations, kept"] == 1


@pytest.mark.parametrize("version", ["v0.5", "v1"])
def test_lvis_of_both_versions(tmp_path, version):
    found, skips = _read(tmp_path, lvis(version=version))
    first, second = found.pictures
    assert "000000000007.jpg" in first.names or "val2017/000000000007.jpg" in first.names
    assert first.annotations.negatives == (2, 0)
    assert first.annotations.not_exhaustive == (1,)
    assert second.annotations.negatives == ()
    assert [one.group for one in found.vocabulary.categories] == ["novel", "base", "base"]
    assert found.vocabulary.rows_of_frequency("c") == (1,)
    assert found.vocabulary.categories[1].texts == ("bow (weapon)", "long bow")
    assert skips.counts == {}


def test_what_cannot_be_used_is_counted_by_name(tmp_path):
    broken = [
        annotation(1, 7, 99, [1, 1, 2, 2]),
        annotation(2, 7, "cat", [1, 1, 2, 2]),
        annotation(3, 7, 17, [5, 5, 0, 4]),
        annotation(4, 7, 17, [5, 5, 3, -1]),
        annotation(5, 7, 17, [40, 0, 5, 5]),
        annotation(6, 7, 17, [-9, 0, 9, 5]),
        annotation(7, 7, 17, [1, 2, 3]),
        annotation(8, 7, 17, [1, 2, 3, "4"]),
        annotation(9, 7, 17, [1, float("nan"), 3, 4]),
        annotation(18, 7, 17, [1, 2, 1e300, 4]),
        annotation(19, 7, 17, [1, 2, 10**400, 4]),
        annotation(10, 1234, 17, [1, 1, 2, 2]),
        annotation(11, None, 17, [1, 1, 2, 2]),
        "no object",
        annotation(12, 7, 17, [1, 1, 2, 2], segmentation={"size": [9, 9], "counts": [81]}),
        annotation(13, 7, 17, [1, 1, 2, 2], segmentation={"size": [30, 40], "counts": [5]}),
        annotation(14, 7, 17, [1, 1, 2, 2], segmentation=[[1, 2, 3]]),
        annotation(20, 7, 17, [1, 1, 2, 2], segmentation=[[10**400] * 6], area=10**400),
        annotation(15, 7, 17, [1, 1, 2, 2], segmentation="outline"),
        annotation(16, 7, 17, [1, 1, 2, 2], segmentation={"size": [30, 40], "counts": "~~"}),
        annotation(17, 7, 17, [30, 20, 20, 20]),
    ]
    images = [*coco()["images"], coco()["images"][0], {"id": 5}, {"width": 3, "height": 3}]
    found, skips = _read(tmp_path, coco(annotations=broken, images=images))
    assert skips.counts == {
        "unknown category id": 2,
        "box without area": 2,
        "box outside its picture": 2,
        "broken box": 5,
        "annotation of a picture that is not listed": 1,
        "annotation without image_id": 2,
        "broken mask, its box is kept": 6,
        "picture listed twice": 1,
        "picture without id, width or height": 2,
    }
    assert skips.inputs["boxes that reach beyond their picture, kept as they are"] == 1
    assert skips.inputs["annotations listed"] == len(broken)
    kept = found.pictures[0].annotations
    assert kept.num_objects == 7
    np.testing.assert_array_equal(kept.boxes[-1], [30, 20, 50, 40])
    assert kept.masks is None


def test_broken_federated_lists_are_counted(tmp_path):
    content = lvis(version="v1")
    content["images"][0]["neg_category_ids"] = [3, 77, "x", None]
    found, skips = _read(tmp_path, content)
    assert found.pictures[0].annotations.negatives == (2,)
    assert skips.counts == {"unknown category id in neg_category_ids": 3}
    content["images"][0] |= {"neg_category_ids": None, "not_exhaustive_category_ids": "bow"}
    found, skips = _read(tmp_path, content)
    assert found.pictures[0].annotations.negatives is None
    assert skips.counts == {"not_exhaustive_category_ids is no list": 1}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "no readable JSON"),
        ([1, 2], "no list 'images' (found: list)"),
        ({"images": [], "boxes": 1}, "no list 'annotations' (found: images, boxes)"),
        (coco(categories=[]), "no list 'categories'"),
        (coco(categories=[{"id": 1}]), "lacks a name"),
        (coco(categories=[{"id": True, "name": "x"}]), "lacks a name"),
        (coco(categories=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]), "id '1' occurs twice"),
        (coco(categories=[{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]), "'a' occurs twice"),
        (coco(categories=[{"id": 1, "name": "a", "group": "odd"}]), "known: base, novel"),
        (coco(images=[]), "lists no usable picture"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(tmp_path, content, told):
    assert told in _refused(tmp_path, content)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="is a folder; name the annotation JSON in it"):
        read_annotation_file(tmp_path, Skips())


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_annotation_file(tmp_path / "none.json", Skips())


def _eighty():
    others = ["traffic light", "fire hydrant", "stop sign"]
    return [
        {"id": n + 1, "name": name} for n, name in enumerate((*COCO_NOVEL, *others, *COCO_BASE))
    ]


def test_coco_48_17_leaves_the_other_names_out(tmp_path):
    content = coco(
        categories=_eighty(),
        annotations=[annotation(1, 7, 18, [1, 1, 2, 2]), annotation(2, 7, 1, [1, 1, 2, 2])],
    )
    found, skips = _read(tmp_path, content, split="coco-48-17")
    vocabulary = found.vocabulary
    assert (len(vocabulary.rows_of_group("base")), len(vocabulary.rows_of_group("novel"))) == (
        48,
        17,
    )
    assert skips.counts == {"category outside the split": 1}
    assert vocabulary.names[found.pictures[0].annotations.labels[0]] == "airplane"
    assert vocabulary.source_ids[:18] == (*range(1, 18), 21)


def test_splits_of_a_file_of_names_and_of_none(tmp_path):
    names = tmp_path / "novel.txt"
    names.write_text("cat\n\n")
    found, _ = _read(tmp_path, coco(), split=str(names))
    assert [one.group for one in found.vocabulary.categories] == ["base", "novel", "base"]
    stored = json.loads(found.vocabulary.to_bytes())["categories"]
    again, _ = _read(tmp_path, coco(categories=stored))
    assert again.vocabulary == found.vocabulary
    plain, _ = _read(tmp_path, coco(categories=stored), split="none")
    assert {one.group for one in plain.vocabulary.categories} == {None}
    names.write_text("dog\n")
    assert "'dog' is not in the vocabulary" in _refused(tmp_path, coco(), split=str(names))
    names.write_text("\n")
    assert "names no novel category" in _refused(tmp_path, coco(), split=str(names))


def test_splits_of_another_set_are_refused(tmp_path):
    assert "no category" in _refused(tmp_path, coco(), split="coco-48-17")
    assert "'frequency'" in _refused(tmp_path, coco(), split="lvis-rare")
    with pytest.raises(ConfigError, match="unknown split 'coco'; known: auto, coco-48-17"):
        _read(tmp_path, coco(), split="coco")


def test_a_vocabulary_is_stored_and_read_back(tmp_path):
    vocabulary = vocabulary_of(lvis(version="v1")["categories"], where="x")
    vocabulary = split_vocabulary(vocabulary, "auto")
    (tmp_path / "categories.json").write_bytes(vocabulary.to_bytes())
    assert Vocabulary.load(tmp_path) == vocabulary
    assert Vocabulary.load(tmp_path).digest == vocabulary.digest
    assert vocabulary.only(["person"]).digest != vocabulary.digest
    (tmp_path / "categories.json").write_text('{"format_version": 9}')
    with pytest.raises(DataError, match="format 9"):
        Vocabulary.load(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        Vocabulary.load(tmp_path / "nowhere.json")
    with pytest.raises(DataError, match="vocabulary is empty"):
        Vocabulary(())
    assert Category("a_b", 1).text == "a b"
    assert category(1, "a", "r")["frequency"] == "r"


@needs_shared_data
def test_real_files_are_read_whole():
    """LVIS v0.5 val and COCO val2014, 100 pictures each: nothing may be left out."""
    expected = {"lvis": (977, 1230, 454), "coco": (839, 80, 0)}
    for name, (num_objects, num_names, num_novel) in expected.items():
        skips = Skips()
        found = read_annotation_file(SHARED_DATA / f"detection-{name}100.json", skips)
        assert skips.counts == {}
        assert sum(p.annotations.num_objects for p in found.pictures) == num_objects
        assert len(found.vocabulary) == num_names
        assert len(found.vocabulary.rows_of_group("novel")) == num_novel
