"""Pixels, boxes, masks and regions move together, and come back; steps in a row are one step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.roi_transforms import Settings, measured, mirrored_again
from benchmarks.support.drawn_boxes import drawn_picture, errors_of
from data_pipelines.detection.annotations import Annotations, Rle, no_annotations
from data_pipelines.detection.geometry import (
    Transform,
    flipped,
    marked,
    placed,
    resized,
    transformed,
)
from data_pipelines.detection.jitter import LargeScaleJitter, fitted, padded_to
from data_pipelines.detection.masks import pixels_of, rle_of_pixels
from data_pipelines.errors import ConfigError

_SIDES = st.integers(8, 160)
_SEEDS = st.integers(0, 2**32 - 1)


@given(height=_SIDES, width=_SIDES, side=st.integers(16, 256), seed=_SEEDS)
def test_what_is_drawn_lands_where_box_region_and_masks_land(height, width, side, seed):
    rng = np.random.default_rng(seed)
    transform = LargeScaleJitter(side=side).draw((height, width), rng)
    errors = errors_of(drawn_picture(rng, (height, width)), transform)
    assert errors.largest <= 0.5
    assert errors.back <= 1e-3


def test_a_transform_that_mirrors_regions_and_masks_once_more_is_noticed():
    found = measured(Settings(transforms=8, side=128, seed=0), mirrored_again)
    assert found.regions > 8
    assert found.run_lengths > 8
    assert found.outlines > 8
    assert found.drawn <= 0.5


@given(height=_SIDES, width=_SIDES, seed=_SEEDS)
def test_boxes_come_back_from_steps_in_a_row(height, width, seed):
    rng = np.random.default_rng(seed)
    new = (int(rng.integers(8, 300)), int(rng.integers(8, 300)))
    left, top = (int(one) for one in rng.integers(-40, 40, 2))
    steps = [
        resized((height, width), new),
        flipped(new),
        placed(new, (77, 99), left=left, top=top),
    ]
    whole = steps[0].then(steps[1]).then(steps[2])
    boxes = np.sort(rng.uniform(0, 8, (5, 2, 2)), axis=1).reshape(5, 4).astype(np.float32)
    one_by_one = boxes
    for step in steps:
        one_by_one = step.boxes(one_by_one)
    np.testing.assert_allclose(whole.boxes(boxes), one_by_one, atol=1e-3)
    np.testing.assert_allclose(whole.inverse().boxes(whole.boxes(boxes)), boxes, atol=1e-3)
    assert whole.inverse().inverse().target == whole.target


@given(seed=_SEEDS, flip=st.booleans())
def test_whole_pixels_are_moved_exactly_and_back(seed, flip):
    """A flip, a crop and a pad change no pixel: NumPy's slices are the reference."""
    rng = np.random.default_rng(seed)
    size = (int(rng.integers(4, 40)), int(rng.integers(4, 40)))
    pixels = rng.integers(1, 256, (*size, 3), dtype=np.uint8)
    left, top = int(rng.integers(-3, 12)), int(rng.integers(-3, 12))
    step = placed(size, (50, 50), left=left, top=top)
    transform = flipped(size).then(step) if flip else step
    found = transformed(marked(pixels, no_annotations(size)), transform).pixels
    expected = np.zeros((80, 80, 3), np.uint8)
    source = pixels[:, ::-1] if flip else pixels
    expected[10 + top : 10 + top + size[0], 10 + left : 10 + left + size[1]] = source
    np.testing.assert_array_equal(found, expected[10:60, 10:60])
    back = transformed(marked(found, no_annotations((50, 50))), transform.inverse()).pixels
    seen = back.any(axis=2)
    np.testing.assert_array_equal(back[seen], pixels[seen])


@pytest.mark.parametrize("scale", [0.3, 1.7])
def test_a_crop_of_a_resized_picture_is_pillows_resize_then_crop(scale):
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (60, 90, 3), dtype=np.uint8)
    new = (round(60 * scale), round(90 * scale))
    transform = resized((60, 90), new).then(placed(new, (16, 16), left=-5, top=-2))
    found = transformed(marked(pixels, no_annotations((60, 90))), transform).pixels
    whole = Image.fromarray(pixels).resize(new[::-1], Image.Resampling.BILINEAR)
    expected = np.asarray(whole)[2:18, 5:21].astype(int)
    assert np.abs(found.astype(int) - expected).max() <= 1


def _one(box, *, size=(40, 60), crowd=False):
    pixels = np.zeros(size, np.bool_)
    left, top, right, bottom = box
    pixels[top:bottom, left:right] = True
    return Annotations(
        size=size,
        boxes=np.array([box], np.float32),
        labels=np.array([3]),
        is_crowd=np.array([crowd]),
        areas=np.array([float((right - left) * (bottom - top))]),
        masks=(rle_of_pixels(pixels),),
    )


def test_objects_out_of_sight_go_and_regions_out_of_sight_are_masked():
    regions = np.array([[0, 0, 10, 10], [30, 0, 50, 10], [40, 0, 60, 40]], np.float32)
    picture = marked(None, _one((40, 10, 60, 30), crowd=True), regions)
    half = transformed(picture, placed((40, 60), (40, 50), left=0, top=0))
    np.testing.assert_array_equal(half.annotations.boxes, [[40, 10, 50, 30]])
    assert half.annotations.areas.tolist() == [200.0]
    assert half.annotations.is_crowd.tolist() == [True]
    assert pixels_of(half.annotations.masks[0], (40, 50)).sum() == 200
    assert half.is_region_there.tolist() == [True, True, False]
    gone = transformed(picture, placed((40, 60), (40, 40), left=0, top=0))
    assert gone.annotations.num_objects == 0
    assert gone.annotations.masks == ()
    assert len(gone.regions) == 3
    assert gone.is_region_there.tolist() == [True, False, False]
    assert transformed(picture, half_of_it(), min_object_share=0.6).annotations.num_objects == 0


def half_of_it() -> Transform:
    return placed((40, 60), (40, 50), left=0, top=0)


def test_what_was_masked_stays_masked():
    regions = np.array([[50, 0, 60, 10]], np.float32)
    first = transformed(marked(None, no_annotations((40, 60)), regions), half_of_it())
    wider = transformed(first, placed((40, 50), (40, 80), left=5, top=0))
    assert wider.is_region_there.tolist() == [False]


def test_a_fit_keeps_the_picture_whole_and_a_canvas_only_adds():
    assert fitted((480, 640), longest=1333, shortest=800).target == (800, 1067)
    assert fitted((300, 900), longest=600).target == (200, 600)
    assert padded_to(fitted((300, 900), longest=600), (256, 640)).target == (256, 640)
    with pytest.raises(ValueError, match="cannot hold"):
        padded_to(fitted((300, 900), longest=600), (100, 640))


def test_jitter_covers_its_range_and_flips_half():
    rng = np.random.default_rng(0)
    drawn = [LargeScaleJitter(side=100).draw((50, 100), rng) for _ in range(400)]
    scales = [abs(one.x.scale) for one in drawn]
    assert 0.1 <= min(scales) < 0.13
    assert 1.97 < max(scales) <= 2.0
    assert 160 < sum(one.x.scale < 0 for one in drawn) < 240
    assert all(one.target == (100, 100) for one in drawn)


@pytest.mark.parametrize("wrong", [{"side": 0}, {"smallest": 0.0}, {"smallest": 3.0}])
def test_wrong_jitter_is_refused(wrong):
    with pytest.raises(ConfigError, match="take a side"):
        LargeScaleJitter(**wrong)
    with pytest.raises(ConfigError, match="0 to 1"):
        LargeScaleJitter(flip_share=1.5)


def test_wrong_sizes_are_our_own_mistakes():
    with pytest.raises(ValueError, match="a transform of"):
        transformed(marked(None, no_annotations((3, 4))), flipped((4, 3)))
    with pytest.raises(ValueError, match="after one onto"):
        flipped((3, 4)).then(flipped((4, 3)))
    with pytest.raises(ValueError, match="pixels of"):
        marked(np.zeros((2, 2, 3), np.uint8), no_annotations((3, 4)))
    assert isinstance(rle_of_pixels(np.ones((2, 2), np.bool_)), Rle)
