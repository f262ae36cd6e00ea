"""Figures of detectors against pycocotools, the federated rule in loops, and stored figures.

Tolerance: 1e-9; all sides compute in float64, and differ in the order of a mean alone.
"""

import contextlib
import io
import json
from typing import Any

import numpy as np
import pytest

from eval.detection.evaluators import ClassTable, by_hotcoco, by_ours
from eval.detection.matching import AREAS, THRESHOLDS, matched
from eval.detection.overlap import mask_overlaps
from eval.detection.precision import class_figures, precision_curves
from eval.detection.regions import Found, Truth, best_of_class, best_of_picture
from eval.detection.run_lengths import mask_area
from tests.support.detection_sets import (
    coco_json,
    coco_results,
    federated_in_loops,
    random_set,
)
from tests.support.shards import SHARED_DATA

SEEDS = range(20)
TOLERANCE = 1e-9


def _pycocotools(truth: Truth, found: Found, kind: str) -> Any:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        marked = COCO()
        marked.dataset = coco_json(truth)
        marked.createIndex()
        evaluator = COCOeval(marked, marked.loadRes(coco_results(found)), kind)
        evaluator.params.maxDets = [1, 100, 300]
        evaluator.evaluate()
        evaluator.accumulate()
    return evaluator.eval


def _close(ours: np.ndarray, theirs: np.ndarray) -> None:
    theirs = np.where(theirs == -1, np.nan, theirs)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE, equal_nan=True)


def _as_pycocotools(table: ClassTable, theirs: Any) -> None:
    """Every class, threshold, area and limit, not only the means."""
    precision, recall = theirs["precision"], theirs["recall"]
    _close(table.curves, precision[..., 0, 1])
    _close(table.precision, np.moveaxis(precision[..., 1].mean(axis=1), 2, 0))
    for number in range(2):
        _close(table.recall[number], np.moveaxis(recall[..., 1 + number], 2, 0))


@pytest.mark.parametrize("seed", SEEDS)
def test_boxes_as_pycocotools(seed: int) -> None:
    pytest.importorskip("pycocotools")
    truth, found = random_set(seed, crowds=True)
    theirs = _pycocotools(truth, found, "bbox")
    _as_pycocotools(by_ours(truth, found).table, theirs)
    _as_pycocotools(by_hotcoco(truth, found), theirs)


@pytest.mark.parametrize("seed", range(6))
def test_masks_as_pycocotools(seed: int) -> None:
    pytest.importorskip("pycocotools")
    truth, found = random_set(seed, masks=True, crowds=True)
    theirs = _pycocotools(truth, found, "segm")
    _as_pycocotools(by_ours(truth, found).table, theirs)
    _as_pycocotools(by_hotcoco(truth, found), theirs)


@pytest.mark.parametrize("seed", SEEDS)
def test_federated_figures_are_the_published_rule(seed: int) -> None:
    truth, found = random_set(seed, federated=True)
    cut = best_of_picture(found, 300)
    table = by_ours(truth, cut).table
    assert table.difference(by_hotcoco(truth, cut)) < TOLERANCE
    for level, (number, area) in ((0, (0, "all")), (5, (3, "large")), (9, (1, "small"))):
        ap, ar = federated_in_loops(
            truth, found, least=float(THRESHOLDS[level]), area=AREAS[area], most=300
        )
        known = np.flatnonzero(~np.isnan(table.precision[number, level]))
        assert known.tolist() == sorted(ap)
        for label in known.tolist():
            assert abs(table.precision[number, level, label] - ap[label]) < TOLERANCE
            assert abs(table.recall[1, number, level, label] - ar[label]) < TOLERANCE


@pytest.mark.parametrize("seed", [0, 3, 6])
def test_more_than_300_finds_are_cut_over_all_classes(seed: int) -> None:
    truth, found = random_set(seed, federated=True)
    assert np.bincount(found.images).max() > 300
    ap, _ = federated_in_loops(truth, found, least=0.5, area=AREAS["all"], most=10**9)
    whole = by_ours(truth, found).table
    cut = by_ours(truth, best_of_picture(found, 300)).table
    assert whole.difference(by_hotcoco(truth, found)) < TOLERANCE
    for label, value in ap.items():
        assert abs(whole.precision[0, 0, label] - value) < TOLERANCE
    assert whole.difference(cut) > 1e-3


@pytest.mark.parametrize("federated", [False, True])
def test_fixed_ap_is_the_same_by_both(federated: bool) -> None:
    truth, found = random_set(3, federated=federated)
    kept = best_of_class(found, 40)
    ours = by_ours(truth, kept, is_fixed=True).table
    assert ours.difference(by_hotcoco(truth, kept, is_fixed=True)) < TOLERANCE
    assert np.bincount(kept.labels).tolist() == np.minimum(np.bincount(found.labels), 40).tolist()
    lowest = min(kept.scores[kept.labels == 2])
    assert (found.scores[found.labels == 2] > lowest).sum() < 40


@pytest.mark.parametrize("federated", [False, True])
def test_weights_are_pictures_drawn_again(federated: bool) -> None:
    truth, found = random_set(4, federated=federated, crowds=not federated)
    # Copies of a picture count as one block, so that ties within a picture would tell them apart.
    jitter = np.random.default_rng(0).random(len(found.scores)) * 1e-6
    found = found._replace(scores=found.scores + jitter)
    weights = np.array([[2, 0, 1, 3, 1, 0, 1, 2], [1] * 8], dtype=np.int64)
    most = None if federated else 100
    drawn = class_figures(matched(truth, found), weights, most=most)
    again = by_ours(*_repeated(truth, found, weights[0])).table
    _close(drawn.precision[0], again.precision[0])
    _close(drawn.precision[1], by_ours(truth, found).table.precision[0])
    if not federated:
        _close(drawn.recall[0], again.recall[0, 0])


def _repeated(truth: Truth, found: Found, weights: np.ndarray) -> tuple[Truth, Found]:
    """The set with every picture as often as its weight says, its copies beside each other."""
    numbers = np.repeat(np.arange(len(weights)), weights)

    def rows(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own = [np.flatnonzero(images == number) for number in numbers]
        new = np.repeat(np.arange(len(numbers)), [len(one) for one in own])
        return np.concatenate(own), new

    def pairs(listed: np.ndarray | None) -> np.ndarray | None:
        if listed is None:
            return None
        taken, new = rows(listed[:, 0])
        return np.stack([new, listed[taken, 1]], axis=1)

    marks, images = rows(truth.images)
    finds, of_finds = rows(found.images)
    return (
        truth._replace(
            images=images,
            labels=truth.labels[marks],
            boxes=truth.boxes[marks],
            areas=truth.areas[marks],
            is_crowd=truth.is_crowd[marks],
            num_images=len(numbers),
            absent=pairs(truth.absent),
            not_exhaustive=pairs(truth.not_exhaustive),
        ),
        found.taken(finds)._replace(images=of_finds),
    )


def test_curves_have_the_average_precision() -> None:
    truth, found = random_set(5)
    table = by_ours(truth, found).table
    _close(precision_curves(matched(truth, found), most=100).mean(axis=1), table.precision[0])


def test_run_lengths_as_pycocotools() -> None:
    mask = pytest.importorskip("pycocotools.mask")
    draw = np.random.default_rng(0)
    pixels = [draw.random((17, 23)) < share for share in (0.0, 0.02, 0.5, 0.98, 1.0)]
    rles = [mask.encode(np.asfortranarray(one, dtype=np.uint8)) for one in pixels]
    assert [mask_area(one) for one in rles] == [int(one.sum()) for one in pixels]
    is_crowd = np.array([False, False, True, False, True])
    theirs = np.nan_to_num(mask.iou(rles, rles, is_crowd.tolist()))
    np.testing.assert_array_equal(mask_overlaps(rles, rles, is_crowd), theirs)


def test_no_finds_and_no_regions() -> None:
    truth, found = random_set(1)
    none = found.taken(np.zeros(0, dtype=np.int64))
    for table in (by_ours(truth, none).table, by_hotcoco(truth, none)):
        shown = np.unique(truth.labels)
        assert np.nansum(table.precision) == 0
        assert not np.isnan(table.precision[0][:, shown]).any()
    rows = slice(0, 0)
    bare = truth._replace(
        images=truth.images[rows],
        labels=truth.labels[rows],
        boxes=truth.boxes[rows],
        areas=truth.areas[rows],
        is_crowd=truth.is_crowd[rows],
    )
    for table in (by_ours(bare, found).table, by_hotcoco(bare, found)):
        assert np.isnan(table.precision).all()


def _stored(name: str) -> Any:
    path = SHARED_DATA / name
    if not path.is_file():
        pytest.skip(f"needs {name}, which is not part of the repository")
    return json.loads(path.read_text())


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_stored_figures_of_coco(kind: str) -> None:
    from benchmarks.support.detection_files import read_columns

    expected = _stored("detection-expected.json")["coco"][kind]
    truth, found = read_columns(
        _stored("detection-coco100.json"), _stored(f"detection-coco100-{kind}.json")
    )
    for table in (by_hotcoco(truth, found), by_ours(truth, found).table):
        ap = table.precision
        ours = [np.nanmean(ap[0]), np.nanmean(ap[0, 0]), np.nanmean(ap[0, 5])]
        ours += [np.nanmean(ap[area]) for area in (1, 2, 3)]
        theirs = expected[:6]
        ours += [np.nanmean(table.recall[0, area]) for area in range(4)]
        np.testing.assert_allclose(ours, theirs + expected[8:], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("count", [200, 480])
def test_stored_figures_of_lvis(count: int) -> None:
    from benchmarks.support.detection_files import read_columns

    expected = _stored("detection-expected.json")["lvis"][f"results{count}"]
    listed = _stored("detection-lvis100.json")
    truth, found = read_columns(listed, _stored(f"detection-lvis100-results{count}.json"))
    found = best_of_picture(found, 300)
    letters = [one["frequency"] for one in sorted(listed["categories"], key=lambda c: c["id"])]
    for table in (by_hotcoco(truth, found), by_ours(truth, found).table):
        ap, ar = table.precision, table.recall[1]
        ours = [np.nanmean(ap[0]), np.nanmean(ap[0, 0]), np.nanmean(ap[0, 5])]
        ours += [np.nanmean(ap[area]) for area in (1, 2, 3)]
        ours += [np.nanmean(ap[0][:, np.array(letters) == one]) for one in "rcf"]
        ours += [np.nanmean(ar[area]) for area in range(4)]
        np.testing.assert_allclose(ours, list(expected.values()), rtol=0, atol=TOLERANCE)
