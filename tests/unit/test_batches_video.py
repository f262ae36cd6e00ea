"""Frames as tensors, from the process that decodes."""

import numpy as np
import pytest
import torch

from data_pipelines.video.process import VideoProcess
from tests.support.videos import encoded, number_shown
from vlsuite.batches.video import decode_video

pytest.importorskip("av")


def test_frames_are_a_tensor_of_channels_first():
    data = encoded("mp4", "mpeg4", num_frames=12)
    frames = decode_video(data, num_frames=4)
    assert (frames.dtype, tuple(frames.shape)) == (torch.uint8, (4, 3, 48, 64))
    assert frames.is_contiguous()
    shown = [number_shown(frame) for frame in frames.permute(0, 2, 3, 1).numpy()]
    assert shown == [1, 4, 7, 10]


def test_draws_and_spans_are_handed_on():
    data = encoded("mp4", "mpeg4", num_frames=12)
    with VideoProcess() as process:
        one, same = (
            decode_video(
                data,
                num_frames=3,
                rng=np.random.default_rng(3),
                seconds=(0.2, None),
                process=process,
            )
            for _ in range(2)
        )
        direct = process.sample(data, 3, span=(0.2, None), generator=np.random.default_rng(3))
    assert torch.equal(one, same)
    np.testing.assert_array_equal(one.permute(0, 2, 3, 1).numpy(), direct.frames)
    assert min(direct.numbers) >= 5
