"""Shards of boxes, and annotation files beside pictures: the same set whichever way it is given."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image, ImageColor

from data_pipelines.contact_sheet import write_contact_sheet
from data_pipelines.detection.detection_set import is_detection_set, open_detection_set
from data_pipelines.detection.drawing import colour_of
from data_pipelines.detection.stored import of_fields
from data_pipelines.detection.vocabulary import Vocabulary, vocabulary_of
from data_pipelines.errors import BadSampleError, ConfigError, DataError
from data_pipelines.inspect import describe, inspect_shards
from data_pipelines.shards.manifest import Manifest
from data_pipelines.shards.validate import validate
from data_pipelines.skips import Skips
from data_pipelines.sources.detection import DetectionSource
from data_pipelines.sources.source import Target
from tests.support.detection_files import annotation, coco, jpeg, lvis, write_coco
from tests.support.shards import write_tar


def _built(tmp_path, content, *, pictures="folder", **settings):
    source = DetectionSource(
        annotations=write_coco(tmp_path / "in", content, pictures=pictures), **settings
    )
    return source.build(Target(out_dir=tmp_path / "out"))


def _samples(path, **options):
    skips = Skips()
    opened = open_detection_set(path, skips=skips, **options)
    return opened, list(opened.samples()), skips


def _assert_equal(one, other):
    for first, second in zip(one[1:5], other[1:5], strict=True):
        np.testing.assert_array_equal(first, second)
        assert first.dtype == second.dtype
    assert (one.size, one.not_exhaustive, one.negatives) == (
        *(other.size, other.not_exhaustive),
        other.negatives,
    )
    assert one.picture_id == other.picture_id
    for first, second in zip(one.masks or (), other.masks or (), strict=True):
        np.testing.assert_equal(first, second)


@pytest.mark.parametrize("pictures", ["folder", "tar"])
@pytest.mark.parametrize("content", [coco(), lvis(version="v0.5"), lvis(version="v1")])
def test_shards_hold_what_the_file_says(tmp_path, content, pictures):
    _built(tmp_path, content, pictures=pictures)
    listed, from_file, _ = _samples(tmp_path / "in")
    stored, from_shards, skips = _samples(tmp_path / "out")
    assert len(listed) == len(stored) == len(from_shards) == len(content["images"])
    assert stored.vocabulary == listed.vocabulary
    for one, other in zip(from_file, from_shards, strict=True):
        assert one.image == other.image
        _assert_equal(one.annotations, other.annotations)
    assert len(list(stored.annotations())) == len(from_shards)
    assert skips.counts == {}
    assert validate([tmp_path / "out"]).is_valid


def test_the_manifest_tells_names_and_what_is_left_out(tmp_path):
    content = coco()
    content["images"].append({"id": 11, "file_name": "x.jpg", "width": 40, "height": 30})
    manifest = _built(tmp_path, content)
    assert manifest.skipped == {"missing picture": 1}
    assert manifest.read["boxes written"] == 3
    assert manifest.read["pictures without boxes, kept"] == 1
    assert [file.name for file in manifest.files] == ["categories.json"]
    stored = Manifest.load(tmp_path / "out")
    assert stored.details["vocabulary_digest"] == Vocabulary.load(tmp_path / "out").digest
    assert stored.verify(tmp_path / "out") == []


def test_broken_pictures_and_other_sizes_are_counted(tmp_path):
    path = write_coco(tmp_path / "in", coco())
    (tmp_path / "in" / "val2017" / "000000000007.jpg").write_bytes(b"<html>")
    (tmp_path / "in" / "val2017" / "000000000003.jpg").write_bytes(jpeg(30, 40))
    manifest = DetectionSource(annotations=path).build(Target(out_dir=tmp_path / "out"))
    assert manifest.skipped == {"not an image": 1, "picture of another size than listed": 1}
    assert manifest.num_samples == 1


def test_a_tar_of_pictures_that_ends_early_is_told(tmp_path):
    """Whole pictures before the end are used, and the missing ones have their reason."""
    path = write_coco(tmp_path / "in", coco(), pictures="tar")
    tar = tmp_path / "in" / "pictures.tar"
    whole = open_detection_set(path, skips=Skips())
    assert whole.problems == ()
    data = tar.read_bytes()
    tar.write_bytes(data[: data.index(b"000000000009") + 600])
    manifest = DetectionSource(annotations=path).build(Target(out_dir=tmp_path / "out"))
    problems = open_detection_set(path, skips=Skips()).problems
    assert problems
    assert all(problem.startswith("pictures.tar: ") for problem in problems)
    assert manifest.skipped["damage in a tar of pictures"] == len(problems)
    assert manifest.skipped["missing picture"] >= 1
    tar.write_bytes(data[:600])
    with pytest.raises(DataError, match=r"none of the 3 .*\(pictures\.tar: .*--images"):
        open_detection_set(path, skips=Skips())


def test_a_picture_that_lies_on_its_side_is_measured_upright(tmp_path):
    path = write_coco(tmp_path / "in", coco())
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.new("RGB", (30, 40)).save(stream, "JPEG", exif=exif.tobytes())
    (tmp_path / "in" / "val2017" / "000000000007.jpg").write_bytes(stream.getvalue())
    manifest = DetectionSource(annotations=path).build(Target(out_dir=tmp_path / "out"))
    assert manifest.skipped == {}
    assert validate([tmp_path / "out"]).is_valid


def test_novel_boxes_can_be_left_out(tmp_path):
    novel = tmp_path / "novel.txt"
    novel.write_text("cat")
    manifest = _built(tmp_path, coco(), groups=str(novel), without_novel=True)
    assert manifest.read["boxes of novel names, left out"] == 1
    _, samples, _ = _samples(tmp_path / "out")
    assert [one.annotations.labels.tolist() for one in samples] == [[0], [2], []]
    with pytest.raises(ConfigError, match="no name is novel"):
        DetectionSource(annotations=tmp_path / "in" / "instances.json", without_novel=True).build(
            Target(out_dir=tmp_path / "other")
        )


def test_pictures_without_boxes_can_be_left_out(tmp_path):
    manifest = _built(tmp_path, coco(), with_boxes_only=True)
    assert manifest.num_samples == 2
    assert manifest.skipped == {"picture without boxes": 1}


def test_the_same_input_gives_the_same_bytes(tmp_path):
    first = _built(tmp_path / "a", coco())
    second = _built(tmp_path / "b", coco())
    assert [one.sha256 for one in first.shards] == [one.sha256 for one in second.shards]


def test_a_name_that_two_folders_share_is_no_picture(tmp_path):
    path = write_coco(tmp_path / "in", coco())
    shutil.copytree(tmp_path / "in" / "val2017", tmp_path / "in" / "train2017")
    with pytest.raises(DataError, match="none of the 3 listed pictures is there"):
        open_detection_set(path, skips=Skips())
    _, samples, skips = _samples(path, images=tmp_path / "in" / "val2017")
    assert len(samples) == 3
    assert skips.counts == {}


def test_tars_may_name_pictures_as_they_like(tmp_path):
    path = write_coco(tmp_path / "in", coco(), pictures="none")
    write_tar(
        tmp_path / "in" / "a.tar",
        [("./x/000000000003.JPG", jpeg(40, 30)), ("x/notes.txt", b"-")],
    )
    write_tar(tmp_path / "in" / "b.tar", [("000000000007.jpg", jpeg(40, 30))])
    _, samples, skips = _samples(path)
    assert [one.uid for one in samples] == ["7", "3"]
    assert skips.counts == {"missing picture": 1}


def test_what_is_no_set_is_refused_in_one_line(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        open_detection_set(tmp_path / "none", skips=Skips())
    path = write_coco(tmp_path / "in", coco(), pictures="none")
    with pytest.raises(DataError, match=r"no picture and no tar of pictures; put them there"):
        open_detection_set(path, skips=Skips())
    (tmp_path / "tars").mkdir()
    write_tar(tmp_path / "tars" / "pictures.tar", [("1.jpg", b"")])
    with pytest.raises(DataError, match=r"it.*plain pictures a JSON in COCO's form"):
        open_detection_set(tmp_path / "tars", skips=Skips())
    (tmp_path / "in" / "second.json").write_text("{}")
    with pytest.raises(DataError, match="several JSON files"):
        open_detection_set(tmp_path / "in", skips=Skips())
    _built(tmp_path / "b", coco())
    with pytest.raises(DataError, match="leave out images and split"):
        open_detection_set(tmp_path / "b" / "out", skips=Skips(), split="none")
    with pytest.raises(DataError, match=r"several sets .out.; name one"):
        open_detection_set(tmp_path / "b", skips=Skips())
    assert is_detection_set(tmp_path / "b" / "out")
    assert is_detection_set(tmp_path / "b" / "in")
    assert not is_detection_set(tmp_path)
    with pytest.raises(DataError, match="drop --layout"):
        DetectionSource(annotations=path).build(Target(out_dir=tmp_path / "c", layout="benchmark"))


def _rewritten(tmp_path, **changes):
    """The shard with the json of every sample changed."""
    _built(tmp_path, coco())
    opened, samples, _ = _samples(tmp_path / "out")
    members = []
    for number, sample in enumerate(samples):
        fields = {"boxes": [], "picture": {"id": number, "height": 30, "width": 40}} | changes
        members += [(f"{number}.jpg", sample.image.data)]
        members += [(f"{number}.json", json.dumps(fields).encode())]
    write_tar(tmp_path / "out" / "detection-000000.tar", members)
    (tmp_path / "out" / "manifest.json").unlink()
    return opened.vocabulary


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"boxes": [{"box": [1, 2, 3, 4], "label": "dog"}]}, "unknown label"),
        ({"boxes": [{"box": [1, 2, 3, 4], "label": 3}]}, "unknown label"),
        ({"boxes": [[1, 2, 3, 4]]}, "unknown label"),
        ({"boxes": [{"box": [3, 2, 1, 4], "label": "cat"}]}, "broken boxes"),
        ({"boxes": [{"box": [1, 2, 10**400, 4], "label": "cat"}]}, "broken boxes"),
        ({"boxes": None}, "no boxes"),
        ({"picture": {"height": 30}}, "broken picture"),
        (
            {"picture": {"id": 1, "height": 31, "width": 40}},
            "picture of another size than its boxes",
        ),
        ({"boxes": [{"box": [50, 2, 60, 4], "label": "cat"}]}, "box outside its picture"),
        ({"negatives": ["dog"]}, "unknown label"),
        ({"negatives": "cat"}, "broken boxes"),
        (
            {"boxes": [{"box": [1, 2, 3, 4], "label": 1, "mask": {"size": [1, 1], "counts": "1"}}]},
            "broken mask",
        ),
        (
            {"boxes": [{"box": [1, 2, 3, 4], "label": 1, "mask": [[20, 20, 30, 20, 30, 30]]}]},
            "mask outside its box",
        ),
    ],
)
def test_validate_names_what_is_wrong_with_boxes(tmp_path, changes, kind):
    _rewritten(tmp_path, **changes)
    report = validate([tmp_path / "out"])
    assert report.problems == {kind: 3}


def test_samples_that_cannot_be_read_are_counted(tmp_path):
    _rewritten(tmp_path, boxes=[{"box": [1, 2, 3, 4], "label": "dog"}])
    opened, samples, skips = _samples(tmp_path / "out")
    assert len(opened) == 3
    assert samples == []
    assert skips.counts == {"unknown label": 3}


def test_json_without_boxes_is_no_sample_of_detection():
    vocabulary = vocabulary_of(coco()["categories"], where="x")
    with pytest.raises(BadSampleError, match="no list 'boxes'"):
        of_fields({"captions": ["a"]}, vocabulary)


def test_validate_tells_of_a_broken_vocabulary(tmp_path):
    _built(tmp_path, coco())
    (tmp_path / "out" / "categories.json").write_text("{")
    problems = validate([tmp_path / "out"]).problems
    assert problems["unreadable categories.json"] == 1
    assert problems["differs from its manifest"] == 1


def test_inspect_counts_boxes_and_draws_them(tmp_path):
    content = coco()
    content["annotations"].append(annotation(9, 9, 17, [10, 10, 20, 12]))
    novel = tmp_path / "novel.txt"
    novel.write_text("cat")
    _built(tmp_path, content, groups=str(novel))
    told = describe(inspect_shards([tmp_path / "out"]))
    assert "boxes   4 of 3 names (2 base, 2 novel), 1.3 a picture; 2 with masks, 1 crowds" in told
    sheet = tmp_path / "sheet.png"
    assert write_contact_sheet([tmp_path / "out"], sheet) == 3
    with Image.open(sheet) as image:
        pixels = np.asarray(image)
    # the left side of the box of the third picture, 10 of 40 pixels from the left, in a cell of 256
    left, top = 8 + 2 * 264 + 256 * 10 // 40, 8 + 32 + 256 * 16 // 40
    assert tuple(pixels[top, left]) == ImageColor.getrgb(colour_of(1))
