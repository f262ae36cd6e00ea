"""Frozen in Time's video tower against its published equations in float64 loops."""

import pytest
import torch

from benchmarks.support.space_time_loops import video_feature
from tests.support.video_models import SIDE, clips, tiny_tower


@pytest.mark.parametrize("log_frames_bias", [False, True])
@pytest.mark.parametrize("num_frames", [1, 4, 8])
def test_equals_the_published_equations(num_frames, log_frames_bias):
    tower = tiny_tower(log_frames_bias=log_frames_bias)
    clip = clips(1, num_frames)[0]
    with torch.no_grad():
        features = tower(clip, [num_frames])
    wanted = video_feature(tower, clip, log_frames_bias=log_frames_bias)
    wanted = wanted @ tower.pooling.project.weight.detach().double()
    torch.testing.assert_close(features[0].double(), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["class token", "mean of patches", "timm, class token"])
@pytest.mark.parametrize("num_frames", [1, 4])
def test_tokens_are_those_that_its_blocks_see(kind, num_frames):
    tower = tiny_tower(kind)
    seen = []
    tower.blocks[0].register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    with torch.no_grad():
        tower(clips(1, num_frames)[0], [num_frames])
    assert seen == [tower.tokens_of(num_frames, size=(SIDE, SIDE))]
