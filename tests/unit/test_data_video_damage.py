"""Damage of every kind gives frames or one error of the family, and no other exception."""

import numpy as np
import pytest

from benchmarks.support.video_damage import KINDS
from data_pipelines.errors import BadSampleError
from data_pipelines.video.process import ProcessLimits, VideoProcess
from tests.support.videos import encoded

pytest.importorskip("av")

CONTAINERS = {
    "mp4": ("mp4", "libx264"),
    "mkv": ("matroska", "libx264"),
    "avi": ("avi", "msmpeg4"),
    "flv": ("flv", "flv"),
    "mpg": ("vob", "mpeg2video"),
    "ts": ("mpegts", "libx264"),
    "webm": ("webm", "libvpx-vp9"),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_damage_ends_as_frames_or_one_error(container):
    whole = encoded(*CONTAINERS[container], options={"g": "12"})
    outcomes = set()
    with VideoProcess(ProcessLimits(seconds=20.0)) as process:
        for number, damage in enumerate(KINDS.values()):
            for turn in range(2):
                data = damage(whole, np.random.default_rng([number, turn]))
                try:
                    frames = process.sample(data, 4).frames
                    assert frames.shape[0] == 4
                    outcomes.add("delivered")
                except BadSampleError as error:
                    outcomes.add(error.kind)
        assert process.sample(whole, 1).numbers == (23,)
    assert "delivered" in outcomes
    assert len(outcomes) > 1
    assert "video crashed the decoder" not in outcomes
