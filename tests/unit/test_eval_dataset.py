from pathlib import Path

from eval.data.folders import open_dataset
from tests.support.evaluation_data import captioned, labelled, noise_png, write_tar
from tests.support.shards import SHARED_DATA, needs_shared_data


def test_bad_samples_are_left_out_and_counted(tmp_path: Path) -> None:
    samples = [
        *captioned([["good"]]),
        {"png": noise_png(1), "txt": b"\xff\xfe broken"},
        {"txt": b"no picture"},
        {"png": noise_png(2), "txt": b"  "},
        {"png": noise_png(3), "cls": b"x", "txt": b"bad label"},
    ]
    dataset = open_dataset(str(write_tar(tmp_path / "a.tar", samples)))
    assert len(dataset) == 1
    assert dataset.num_skipped == {
        "unreadable caption or label": 2,
        "no image": 1,
        "no caption": 1,
    }
    assert any("2 samples left out" in line for line in dataset.warnings())


def test_revision_follows_the_content(tmp_path: Path) -> None:
    def revision(name: str, samples) -> str:
        return open_dataset(str(write_tar(tmp_path / name, samples)), task="retrieval").revision

    samples = captioned([["a", "b"], ["c"]])
    first = revision("a.tar", samples)
    assert revision("other-name.tar", samples) == first
    assert revision("b.tar", samples[::-1]) != first
    assert revision("c.tar", captioned([["a b"], ["c"]])) != first
    assert revision("d.tar", [samples[0] | {"png": noise_png(9)}, samples[1]]) != first


def test_equal_pictures_are_recognised(tmp_path: Path) -> None:
    samples = [{"png": noise_png(i % 2), "txt": str(i).encode()} for i in range(4)]
    dataset = open_dataset(str(write_tar(tmp_path / "a.tar", samples)))
    assert dataset.images.same_as.tolist() == [0, 1, 0, 1]


def test_truncated_shard_is_reported(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "a.tar", captioned([["a"], ["b"], ["c"]]))
    whole = tar.read_bytes()
    tar.write_bytes(whole[: whole.index(b"s0000002") + 600])
    dataset = open_dataset(str(tar))
    assert len(dataset) == 2
    assert dataset.problems
    assert any("a.tar" in line for line in dataset.warnings())


def test_task_of_plain_shards_follows_the_samples(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("a\nb\n")
    samples = [s | {"txt": b"caption"} for s in labelled(4, num_classes=2)]
    tar = str(write_tar(tmp_path / "a.tar", samples))
    assert open_dataset(tar, class_names=str(names)).task == "zero_shot"
    assert open_dataset(tar, task="retrieval").task == "retrieval"


@needs_shared_data
def test_a_strangers_shards() -> None:
    dataset = open_dataset(
        str(SHARED_DATA / "cifar10-test-000000.tar"),
        class_names=str(SHARED_DATA / "cifar10-classnames.txt"),
    )
    assert (dataset.name, dataset.task, len(dataset)) == ("cifar10-test", "zero_shot", 10_000)
    assert dataset.labels is not None
    assert dataset.layout.classes is not None
    assert dataset.layout.classes.names[0] == "airplane"
    assert dataset.captions is not None
    assert dataset.captions[0][0].endswith(dataset.layout.classes.names[dataset.labels[0]])
