"""Folders of pictures as published sets lay them out."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vlsuite
from data_pipelines.errors import UserError
from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.data.image_folders import CORRUPTIONS, FileImages
from eval.data.imagenet_layouts import (
    CLASS_NAMES,
    class_of_wordnet_id,
    imagenet_classes,
    objectnet_folders,
)
from eval.data.raw_image import RawImage
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.task_choices import TaskChoices
from eval.tasks import registry
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import noise_png
from tests.support.picture_folders import write_objectnet, write_pictures
from tests.support.pictures import encoded

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=4, workers=1))


def _labels(dataset: EvalDataset) -> list[int]:
    assert dataset.labels is not None
    return dataset.labels.tolist()


def _names(dataset: EvalDataset) -> tuple[str, ...]:
    assert dataset.layout.classes is not None
    return dataset.layout.classes.names


def test_wordnet_folders_rank_the_classes_that_are_there(tmp_path: Path) -> None:
    # Missile is class 657; n04008634 (class 744) has the same name in open_clip's list.
    files = ["n04008634/b.JPEG", "n01443537/a.JPEG", "n03773504/c.jpg", "n01443537/b.webp"]
    dataset = open_dataset(str(write_pictures(tmp_path / "imagenet-r", files)))
    assert (dataset.name, dataset.split, dataset.task) == ("imagenet-r", "all", "zero_shot")
    assert _names(dataset) == (CLASS_NAMES[1], "missile", "missile")
    assert _labels(dataset) == [0, 0, 1, 2]
    assert dataset.layout.classes is not None
    assert len(dataset.layout.classes.templates or ()) == 80
    assert [dataset.images.key(i) for i in range(4)] == ["a.JPEG", "b.webp", "c.jpg", "b.JPEG"]


def test_validation_folder_takes_the_name_above_it(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "imagenet" / "val", ["n01440764/x.JPEG"])
    dataset = open_dataset(str(root))
    assert (dataset.name, dataset.split) == ("imagenet", "val")


def test_numbers_are_the_classes_and_not_places_in_sorted_order(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "imagenetv2-matched-frequency", ["10/a.jpeg", "2/b.jpeg"])
    for number in range(1000):
        (root / str(number)).mkdir(exist_ok=True)
    dataset = open_dataset(str(root))
    assert _labels(dataset) == [2, 10]
    assert _names(dataset) == CLASS_NAMES


def test_few_numbered_folders_are_other_classes(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "digits", [f"{digit}/a.png" for digit in (0, 2, 10)])
    dataset = open_dataset(str(root))
    assert _names(dataset) == ("0", "2", "10")
    assert _labels(dataset) == [0, 1, 2]


def test_objectnet_without_its_frame(tmp_path: Path) -> None:
    inside = Image.fromarray(
        np.random.default_rng(0).integers(0, 256, size=(9, 11, 3), dtype=np.uint8)
    )
    framed = Image.new("RGB", (15, 13), "red")
    framed.paste(inside, (2, 2))
    files = {
        "tie/a.png": encoded(framed),
        "alarm_clock/b.png": noise_png(1),
        "air_freshener/c.png": noise_png(2),
    }
    dataset = open_dataset(str(write_objectnet(tmp_path / "objectnet-1.0", files)))
    assert dataset.name == "objectnet-1.0"
    assert _names(dataset) == ("alarm clock", "tie")
    assert _labels(dataset) == [0, 1]
    picture = Image.open(io.BytesIO(dataset.images.read(1)))
    assert np.array_equal(np.asarray(picture), np.asarray(inside))
    assert imagenet_classes(_names(dataset)) == ((409, 530), (457, 906))


def test_imagenet_c_by_cell_and_as_a_whole(tmp_path: Path) -> None:
    cells = ["fog/1", "fog/2", "snow/5"]
    files = [f"{cell}/n01440764/{name}.JPEG" for cell in cells for name in "ab"]
    root = write_pictures(tmp_path / "imagenet-c", files)
    one = open_dataset(str(root), split="fog/2")
    assert (one.name, one.split, len(one)) == ("imagenet-c", "fog/2", 2)
    whole = open_dataset(str(root))
    assert (whole.split, len(whole), set(_labels(whole))) == ("all", 6, {0})
    assert isinstance(whole.images, FileImages)
    fog, snow = CORRUPTIONS.index("fog"), CORRUPTIONS.index("snow")
    found = whole.images.cells().tolist()
    assert sorted(found) == sorted([[fog, 1]] * 2 + [[fog, 2]] * 2 + [[snow, 5]] * 2)


def test_other_folders_give_words_or_the_names_given(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "pets", ["big_cat/a.png", "dog/b.png", "dog/deep/c.png"])
    assert _names(open_dataset(str(root))) == ("big cat", "dog")
    assert _labels(open_dataset(str(root))) == [0, 1, 1]
    names = tmp_path / "names.txt"
    names.write_text("lion\nhound\n")
    assert _names(open_dataset(str(root), class_names=str(names))) == ("lion", "hound")
    names.write_text("lion\n")
    with pytest.raises(UserError, match="2 class folders but only 1 class"):
        open_dataset(str(root), class_names=str(names))


def test_the_word_imagenet_names_only_the_classes_there(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "a", ["n01443537/a.png"])
    assert _names(open_dataset(str(root), class_names="imagenet")) == (CLASS_NAMES[1],)


def test_folders_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "empty" / "cat").mkdir(parents=True)
    with pytest.raises(UserError, match="no \\.tar files") as caught:
        open_dataset(str(tmp_path / "empty"))
    assert "\n" not in str(caught.value)
    write_objectnet(tmp_path / "objectnet", {"air_freshener/c.png": noise_png(2)})
    with pytest.raises(UserError, match="holds no pictures"):
        open_dataset(str(tmp_path / "objectnet"))


def test_what_a_folder_lacks_is_told_in_words_of_folders(tmp_path: Path) -> None:
    pets = write_pictures(tmp_path / "pets", {"cat/a.png": noise_png(1), "dog/b.png": noise_png(2)})
    for task in ("retrieval", "multilabel", "vqa"):
        with pytest.raises(UserError, match="no usable picture for") as caught:
            open_dataset(str(pets), task=task)
        assert "member" not in str(caught.value)
        assert "\n" not in str(caught.value)
    dataset, choices = open_dataset(str(pets)), TaskChoices()
    kinds = {name: registry.get(name) for name in registry.names()}
    told = {n: k.missing(dataset, choices) for n, k in kinds.items() if not k.facts.set_kind}
    assert [(name, said) for name, said in told.items() if said and " member" in said] == []
    about_captions = {name for name, said in told.items() if said and '{"captions"' in said}
    assert {"retrieval", "retrieval_rerank", "captioning"} <= about_captions
    assert any(said and "NAME.seg.png beside NAME.jpg" in said for said in told.values())
    with pytest.raises(UserError, match=r"NAME\.json beside NAME\.jpg, or use --task zero_shot"):
        vlsuite.evaluate(SmallClip(), pets, tasks="retrieval")
    said = {"captions": ["a cat"], "question": "what?", "answers": ["a cat"]}
    (pets / "cat" / "a.json").write_text(json.dumps(said))
    assert open_dataset(str(pets), task="retrieval").captions == (("a cat",),)
    assert len(open_dataset(str(pets), task="vqa")) == 1


def test_broken_pictures_are_counted(tmp_path: Path) -> None:
    files = {"cat/a.png": noise_png(1), "cat/b.png": b"no picture", "dog/c.png": b""}
    dataset = open_dataset(str(write_pictures(tmp_path / "a", files)))
    images = EMBEDDER.images(SmallClip(), dataset)
    assert images.rows.tolist() == [0]
    assert dataset.left_out(images.num_skipped) == {"image cannot be decoded": 2}


def test_files_beside_a_picture_belong_to_it(tmp_path: Path) -> None:
    mask = encoded(Image.new("L", (16, 16), 255))
    files = {
        "cat/a.png": noise_png(1),
        "cat/a.mask.png": mask,
        "cat/a.json": b'{"factors": {"pose": 1}}',
        "cat/b.png": noise_png(2),
    }
    dataset = open_dataset(str(write_pictures(tmp_path / "a", files)))
    assert len(dataset) == 2
    assert list(dataset.images.members(0)) == ["png", "json", "mask.png"]
    found = RawImage(dataset.images.members(0), 1).mask
    assert found is not None
    assert found.min() == 1
    assert dataset.factors == ({"pose": 1}, {})


def test_revision_follows_content_and_not_the_place(tmp_path: Path) -> None:
    files = {"cat/a.png": noise_png(1), "dog/b.png": noise_png(2)}

    def revision(name: str, changed: dict[str, bytes]) -> str:
        return open_dataset(str(write_pictures(tmp_path / name, files | changed))).revision

    first = revision("a", {})
    assert revision("b", {}) == first
    assert revision("c", {"dog/b.png": noise_png(3)}) != first
    assert revision("d", {"dog/b.json": b'{"factors": {"pose": 1}}'}) != first


def test_picture_that_vanished_is_named(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "a", ["cat/a.png"])
    dataset = open_dataset(str(root))
    (root / "cat" / "a.png").unlink()
    with pytest.raises(UserError, match=r"cannot read .*cat/a\.png"):
        EMBEDDER.images(SmallClip(), dataset)


def test_facts_about_classes() -> None:
    assert len(class_of_wordnet_id()) == 1000
    assert class_of_wordnet_id()["n02123394"] == CLASS_NAMES.index("Persian cat")
    assert len(objectnet_folders()) == 113
    assert imagenet_classes(CLASS_NAMES) == tuple((number,) for number in range(1000))
    found = imagenet_classes(tuple(objectnet_folders().values()))
    assert found is not None
    # 113 classes of ObjectNet stand for 125 of ImageNet, none of them twice.
    numbers = [number for classes in found for number in classes]
    assert len(numbers) == len(set(numbers)) == 125
    assert imagenet_classes(("no such class",)) is None
