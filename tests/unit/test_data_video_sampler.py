"""Which frames are chosen, against the published rule and by counting."""

import itertools

import numpy as np
import pytest

from data_pipelines.errors import ConfigError
from data_pipelines.video.sampler import FrameSampling, choose_frames, segment_frames


def _chosen(sampler, total, num_frames, draws=None, span=None):
    starts = np.arange(total) / 10
    sampling = FrameSampling(sampler=sampler, num_frames=num_frames, is_random=draws is not None)
    return choose_frames(starts, total / 10, sampling, span=span, draws=draws)


@pytest.mark.parametrize(("total", "count"), [(40, 4), (41, 8), (7, 7), (1000, 3), (9, 1)])
def test_middles_are_those_of_frozen_in_time(total, count):
    # Its sample_frames (uniform): halfway between the ends of each np.linspace stretch.
    bounds = np.linspace(0, total, count + 1).astype(int)
    middles = [(a + b - 1) // 2 for a, b in itertools.pairwise(bounds)]
    assert segment_frames(total, count) == middles == _chosen("segments", total, count)
    for first, last, low, high in zip(
        segment_frames(total, count, [0.0] * count),
        segment_frames(total, count, [0.999999] * count),
        bounds[:-1],
        bounds[1:],
        strict=True,
    ):
        assert (first, last) == (low, high - 1)


def test_every_frame_of_a_stretch_can_be_drawn():
    rng = np.random.default_rng(0)
    seen = [set(), set()]
    for _ in range(400):
        for place, number in enumerate(segment_frames(10, 2, rng.random(2).tolist())):
            seen[place].add(number)
    assert seen == [set(range(5)), set(range(5, 10))]


def test_short_videos_repeat_frames():
    assert segment_frames(2, 4) == [0, 0, 1, 1]
    assert segment_frames(1, 3, [0.99] * 3) == [0, 0, 0]
    assert _chosen("uniform", 1, 3) == [0, 0, 0]
    assert _chosen("time", 2, 4) == [0, 0, 1, 1]


def test_uniform_takes_both_ends():
    assert _chosen("uniform", 11, 3) == [0, 5, 10]
    assert _chosen("uniform", 100, 2, span=(2.0, 4.0)) == [20, 39]


def test_time_and_segments_agree_where_the_rate_is_constant():
    for total, count in ((40, 4), (100, 8), (64, 16)):
        by_time = np.array(_chosen("time", total, count))
        by_frame = np.array(_chosen("segments", total, count))
        assert np.abs(by_time - by_frame).max() <= 1


def test_draws_by_time_stay_in_their_stretches():
    draws = np.random.default_rng(1).random(5).tolist()
    numbers = _chosen("time", 50, 5, draws, span=(1.0, 3.0))
    for i, number in enumerate(numbers):
        assert 10 + 4 * i <= number < 10 + 4 * (i + 1)


def test_settings_that_make_no_sense_are_refused():
    for options, told in (
        ({"num_frames": 0}, "take at least 1"),
        ({"sampler": "uniform", "is_random": True}, "draws nothing"),
    ):
        with pytest.raises(ConfigError, match=told):
            FrameSampling(**options)
