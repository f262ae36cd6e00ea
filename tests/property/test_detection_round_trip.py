"""Annotations stored and read back, and run lengths against COCO's own code."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as reference

from data_pipelines.detection.annotations import Annotations, Rle
from data_pipelines.detection.masks import (
    area_of,
    box_of_mask,
    mask_of_json,
    mask_to_json,
    pixels_of,
    rle_of,
    rle_of_pixels,
)
from data_pipelines.detection.stored import of_fields, to_fields
from data_pipelines.detection.vocabulary import vocabulary_of
from data_pipelines.errors import BadSampleError

_NAMES = [{"id": 3 * number + 1, "name": f"thing_{number}"} for number in range(9)]
_SEEDS = st.integers(0, 2**32 - 1)


def _drawn(rng, size):
    height, width = size
    n = int(rng.integers(0, 6))
    corners = np.sort(rng.uniform(0, 1, (n, 2, 2)), axis=1).reshape(n, 4)
    boxes = (corners * [width, height, width, height]).astype(np.float32)
    boxes[:, 2:] += 1
    masks = [
        None if kind == 0 else rle_of_pixels(rng.random(size) < 0.4) if kind == 1 else
        tuple(rng.uniform(0, width, (int(rng.integers(3, 8)), 2)).round(2) for _ in range(2))
        for kind in rng.integers(0, 3, n)
    ]  # fmt: skip
    return Annotations(
        size=size,
        boxes=boxes,
        labels=rng.integers(0, 9, n),
        is_crowd=rng.random(n) < 0.3,
        areas=rng.uniform(0, 500, n),
        masks=tuple(masks) if any(mask is not None for mask in masks) else None,
        not_exhaustive=tuple(sorted({int(one) for one in rng.integers(0, 9, 2)})),
        negatives=None if rng.random() < 0.5 else (4, 1),
        picture_id=int(rng.integers(1 << 40)) if rng.random() < 0.5 else "a/b.jpg",
    )


@given(seed=_SEEDS, height=st.integers(1, 40), width=st.integers(1, 40))
def test_annotations_come_back_from_json_bit_for_bit(seed, height, width):
    vocabulary = vocabulary_of(_NAMES, where="x")
    annotations = _drawn(np.random.default_rng(seed), (height, width))
    text = json.dumps(to_fields(annotations, vocabulary))
    found = of_fields(json.loads(text), vocabulary)
    for one, other in zip(annotations[1:5], found[1:5], strict=True):
        np.testing.assert_array_equal(one, other)
    assert found[6:] == annotations[6:]
    np.testing.assert_equal(found.masks, annotations.masks)


@given(seed=_SEEDS, height=st.integers(1, 60), width=st.integers(1, 60), share=st.floats(0, 1))
def test_run_lengths_are_those_of_pycocotools(seed, height, width, share):
    pixels = np.random.default_rng(seed).random((height, width)) < share
    ours = rle_of_pixels(pixels)
    theirs = reference.encode(np.asfortranarray(pixels, dtype=np.uint8))
    assert ours.counts == theirs["counts"].decode()
    np.testing.assert_array_equal(pixels_of(ours, (height, width)), pixels)
    assert area_of(ours, (height, width)) == pixels.sum()
    # what is stored passes the check of its run lengths, which decodes them by itself
    assert mask_of_json(mask_to_json(ours), (height, width)) == ours
    runs = np.diff(np.flatnonzero(np.diff(np.r_[2, pixels.T.ravel(), 2])))
    counts = ([0] if pixels.flat[0] else []) + runs.tolist()
    assert mask_of_json({"size": [height, width], "counts": counts}, (height, width)) == ours


@given(seed=_SEEDS)
def test_outlines_become_the_run_lengths_of_pycocotools(seed):
    rng = np.random.default_rng(seed)
    parts = [rng.uniform(-5, 50, 2 * int(rng.integers(3, 9))).tolist() for _ in range(2)]
    mask = mask_of_json(parts, (40, 45))
    theirs = reference.merge(reference.frPyObjects(parts, 40, 45))
    assert rle_of(mask, (40, 45)) == Rle(40, 45, theirs["counts"].decode())
    left, top, width, height = reference.toBbox(theirs)
    assert box_of_mask(mask, (40, 45)) == (left, top, left + width, top + height)


@pytest.mark.parametrize("counts", ["0", "P", "o", "\u00e9", "~", "PPPPPPPPPPPPPPPPP", "5" * 400])
def test_hostile_run_lengths_are_refused_before_pycocotools_sees_them(counts):
    with pytest.raises(BadSampleError, match="broken mask"):
        mask_of_json({"size": [3, 4], "counts": counts}, (3, 4))


@pytest.mark.parametrize(
    "parts",
    [
        [[0, 0, 1e300, 0, 5, 5]],
        [[0, 0, float("nan"), 0, 5, 5]],
        [[0, 0, 1e5, 0, 5, 1e5] * 40],
        [["a", 1, 2, 3, 4, 5]],
        [[[0, 0], [1, 1], [2, 2]]],
    ],
)
def test_hostile_outlines_are_refused_before_pycocotools_draws_them(parts):
    with pytest.raises(BadSampleError, match="broken mask"):
        mask_of_json(parts, (9, 9))


def test_masks_of_pictures_beyond_all_measure_are_refused():
    with pytest.raises(BadSampleError, match="broken mask"):
        mask_of_json({"size": [1 << 19, 1 << 19], "counts": [1 << 38]}, (1 << 19, 1 << 19))


def test_outlines_of_two_corners_are_no_masks():
    assert mask_of_json([[1, 2, 3, 4]], (9, 9)) is None
    assert mask_of_json([], (9, 9)) is None
    assert len(mask_of_json([[1, 2, 3, 4], [0, 0, 5, 0, 5, 5]], (9, 9))) == 1
