"""Every mistake in a path or folder is one line that says how to mend it."""

from pathlib import Path

import pytest

from data_pipelines.errors import UserError
from eval.data.folders import evaluation_folders, locate, open_dataset
from eval.data.word_lists import read_class_names
from tests.support.evaluation_data import captioned, labelled, write_evaluation_folder, write_tar

NAMES = ("cat", "dog", "boat")


def _classes(root: Path, **options) -> Path:
    return write_evaluation_folder(
        root, labelled(6, num_classes=3), **{"class_names": NAMES, **options}
    )


def _message(path: Path | str, **options) -> str:
    with pytest.raises(UserError) as caught:
        open_dataset(str(path), **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_classification_folder(tmp_path: Path) -> None:
    root = _classes(tmp_path / "wds_pets", templates=["a {c}"], num_shards=2, shift_of="wds_cats")
    dataset = open_dataset(str(root))
    assert (dataset.name, dataset.split, dataset.task, len(dataset)) == (
        "wds_pets",
        "test",
        "zero_shot",
        6,
    )
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert dataset.layout.classes == (NAMES, ("a {c}",))
    assert dataset.layout.shift_of == "wds_cats"


def test_retrieval_folder_has_a_caption_a_line(tmp_path: Path) -> None:
    samples = captioned([["one", "two\\nlines"], ["three"]])
    dataset = open_dataset(str(write_evaluation_folder(tmp_path / "pairs", samples)))
    assert dataset.task == "retrieval"
    assert dataset.captions == (("one", "two\nlines"), ("three",))


def test_plain_shards_by_tar_folder_and_pattern(tmp_path: Path) -> None:
    for number in range(2):
        write_tar(tmp_path / f"pairs-{number:06d}.tar", captioned([["a\nb"], ["c"]]))
    for path in (
        tmp_path,
        tmp_path / "pairs-*.tar",
        tmp_path / "pairs-{000000..000001}.tar",
    ):
        dataset = open_dataset(str(path))
        assert len(dataset) == 4
        assert dataset.captions is not None
        assert dataset.captions[0] == ("a\nb",)
    assert open_dataset(str(tmp_path / "pairs-000001.tar")).name == "pairs"


def test_named_class_list() -> None:
    assert len(read_class_names("imagenet")) == 1000


def test_collection_of_folders(tmp_path: Path) -> None:
    _classes(tmp_path / "all" / "b")
    _classes(tmp_path / "all" / "a")
    write_tar(tmp_path / "all" / "train" / "t-000000.tar", captioned([["x"]]))
    found = evaluation_folders(str(tmp_path / "all"))
    assert [Path(path).name for path in found] == ["a", "b"]
    assert evaluation_folders(found[0]) == [found[0]]


def test_missing_path(tmp_path: Path) -> None:
    assert "no shard matches" in _message(tmp_path / "nowhere")
    assert "download" in _message("https://example.org/a.tar")
    (tmp_path / "empty").mkdir()
    assert "no .tar files" in _message(tmp_path / "empty")


def test_missing_shard_of_a_pattern_is_named(tmp_path: Path) -> None:
    write_tar(tmp_path / "x-0.tar", captioned([["a"]]))
    assert "x-1.tar" in _message(tmp_path / "x-{0..1}.tar")


def test_wrong_split_lists_the_splits(tmp_path: Path) -> None:
    message = _message(_classes(tmp_path / "d"), split="val")
    assert "no split 'val'" in message
    assert "choose one of: test" in message


def test_path_of_a_split_points_to_the_folder(tmp_path: Path) -> None:
    message = _message(_classes(tmp_path / "d") / "test")
    assert f"--data {tmp_path / 'd'} --split test" in message


def test_shard_count_missing(tmp_path: Path) -> None:
    root = _classes(tmp_path / "d", num_shards=2)
    (root / "test" / "nshards.txt").unlink()
    assert "2 .tar files are there" in _message(root)


@pytest.mark.parametrize(
    ("count", "part"),
    [("3", "2.tar is missing"), ("1", "write 2"), ("two", "holds 'two'"), ("0", "holds '0'")],
)
def test_shard_count_wrong(tmp_path: Path, count: str, part: str) -> None:
    root = _classes(tmp_path / "d", num_shards=2)
    (root / "test" / "nshards.txt").write_text(count)
    assert part in _message(root)


def test_unknown_type_of_folder(tmp_path: Path) -> None:
    root = _classes(tmp_path / "d")
    (root / "dataset_type.txt").write_text("video\n")
    assert "says 'video'" in _message(root)


def test_label_beyond_the_class_names(tmp_path: Path) -> None:
    message = _message(_classes(tmp_path / "d", class_names=NAMES[:2]))
    assert "label 2" in message
    assert "at least 3 lines" in message


def test_labels_without_class_names(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "x.tar", labelled(3, num_classes=3))
    assert "--class-names FILE" in _message(tar)


def test_class_names_broken(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "x.tar", labelled(3, num_classes=3))
    names = tmp_path / "names.txt"
    assert "does not exist" in _message(tar, class_names=str(names))
    names.write_text("cat\n\nboat\n")
    assert "line 2, is empty" in _message(tar, class_names=str(names))
    names.write_text("\n")
    assert "holds no class names" in _message(tar, class_names=str(names))


def test_template_without_placeholder(tmp_path: Path) -> None:
    assert "template 2" in _message(_classes(tmp_path / "d", templates=["a {c}", "a cat"]))


def test_data_set_without_what_the_task_needs(tmp_path: Path) -> None:
    labels = write_tar(tmp_path / "labels.tar", labelled(3, num_classes=3))
    assert "3 with no caption" in _message(labels, task="retrieval")
    captions = write_tar(tmp_path / "captions.tar", captioned([["a"], ["b"]]))
    assert "2 with no class label" in _message(captions, task="zero_shot")
    assert "no usable sample" in _message(write_tar(tmp_path / "empty.tar", []))


def test_locating_reads_no_shard(tmp_path: Path) -> None:
    root = _classes(tmp_path / "d")
    (root / "test" / "0.tar").write_bytes(b"not a tar" * 200)
    assert locate(str(root)).shards == (root / "test" / "0.tar",)
    assert "not an uncompressed tar" in _message(root)
