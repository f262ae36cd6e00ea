from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.data.subset import chosen_rows, subset
from tests.support.evaluation_data import labelled, write_tar
from tests.support.picture_folders import write_pictures

NAMES = ("cat", "dog", "boat")


@pytest.fixture
def dataset(tmp_path: Path) -> EvalDataset:
    """30 pictures, two of them equal to others, in a mixed-up order."""
    samples = labelled(30, num_classes=3)
    samples[17]["png"] = samples[4]["png"]
    samples[28]["png"] = samples[4]["png"]
    names = tmp_path / "names.txt"
    names.write_text("\n".join(NAMES) + "\n")
    path = write_tar(tmp_path / "a.tar", samples)
    return open_dataset(str(path), class_names=str(names))


def _ids(dataset: EvalDataset, rows: np.ndarray) -> set[int]:
    return set(dataset.images.image_ids[rows].tolist())


@pytest.mark.parametrize("max_images", [0, 30, 31])
def test_all_images_are_the_data_set_itself(dataset: EvalDataset, max_images: int) -> None:
    rows = chosen_rows(dataset, max_images, seed=0)
    assert rows.tolist() == list(range(30))
    assert subset(dataset, rows) is dataset


def test_a_choice_is_seeded_and_part_of_every_larger_one(dataset: EvalDataset) -> None:
    choices = [set(chosen_rows(dataset, count, seed=0).tolist()) for count in range(1, 30)]
    for number, (small, large) in enumerate(pairwise(choices), start=1):
        assert len(small) == number
        assert small < large
    ten = chosen_rows(dataset, 10, seed=0)
    assert (np.diff(ten) > 0).all()
    np.testing.assert_array_equal(ten, chosen_rows(dataset, 10, seed=0))
    assert set(chosen_rows(dataset, 10, seed=1).tolist()) != set(ten.tolist())


def test_a_choice_does_not_depend_on_the_order_of_images(
    dataset: EvalDataset, tmp_path: Path
) -> None:
    order = np.random.default_rng(0).permutation(30)
    samples = [dict(dataset.images.members(int(i))) for i in order]
    names = tmp_path / "names.txt"
    turned = open_dataset(str(write_tar(tmp_path / "b.tar", samples)), class_names=str(names))
    for count in (3, 10, 20):
        here, there = (chosen_rows(one, count, seed=0) for one in (dataset, turned))
        assert _ids(dataset, here) == _ids(turned, there)


def test_a_subset_holds_what_belongs_to_its_images(dataset: EvalDataset) -> None:
    whole = replace(
        dataset,
        captions=tuple((f"caption {i}",) for i in range(30)),
        attributes=np.arange(60).reshape(30, 2),
        factors=tuple({"size": i} for i in range(30)),
    )
    rows = np.array([3, 4, 17, 20, 28])
    part = subset(whole, rows)
    assert len(part) == 5
    assert part.labels is not None
    assert part.labels.tolist() == [0, 1, 2, 2, 1]
    assert part.captions == tuple((f"caption {i}",) for i in rows)
    assert part.attributes is not None
    assert part.attributes[:, 0].tolist() == [6, 8, 34, 40, 56]
    assert part.factors == tuple({"size": i} for i in rows)
    assert part.images.same_as.tolist() == [0, 1, 1, 3, 1]
    np.testing.assert_array_equal(part.images.image_ids, whole.images.image_ids[rows])
    for number, row in enumerate(rows.tolist()):
        assert part.images.read(number) == whole.images.read(row)
        assert part.images.members(number) == whole.images.members(row)
        assert part.key(number) == whole.key(row) == f"s{row:07d}"
    assert (part.name, part.split, part.layout) == (whole.name, whole.split, whole.layout)


def test_revisions_tell_subsets_apart(dataset: EvalDataset) -> None:
    rows = [chosen_rows(dataset, 10, seed=seed) for seed in (0, 0, 1)]
    one, same, other = (subset(dataset, own) for own in rows)
    assert one.revision == same.revision
    assert len({dataset.revision, one.revision, other.revision}) == 3
    assert one.images.fingerprint() == same.images.fingerprint()
    assert one.images.fingerprint() != other.images.fingerprint()


def test_subsets_of_folders_and_of_subsets(tmp_path: Path) -> None:
    files = [f"{name}/{i}.png" for name in NAMES for i in range(4)]
    dataset = open_dataset(str(write_pictures(tmp_path / "set", files)))
    part = subset(subset(dataset, np.array([1, 5, 6, 11])), np.array([1, 3]))
    assert [part.key(0), part.key(1)] == [dataset.key(5), dataset.key(11)]
    assert part.images.read(1) == dataset.images.read(11)
