"""Real files of other makers: the nearest of all frames' thumbnails tells which frame came back."""

import io

import numpy as np
import pytest
from PIL import Image

from data_pipelines.schema import VIDEO_SUFFIXES
from data_pipelines.shards.index import ShardIndex
from data_pipelines.video.reader import VideoReader, make_index
from data_pipelines.video.sampler import FrameSampling
from tests.support.shards import SHARED_DATA, needs_shared_data

pytest.importorskip("av")


def _nearest(frame, thumbnails):
    small = Image.fromarray(frame).resize((24, 24), Image.Resampling.BOX)
    return int(((thumbnails - np.asarray(small, dtype=np.float32)) ** 2).mean((1, 2, 3)).argmin())


@needs_shared_data
def test_originals_give_the_frames_asked_for():
    index = ShardIndex.open(SHARED_DATA / "videos-000000.tar")
    starts = {}
    for i in range(len(index)):
        if "thumbs.npy" not in index.suffixes(i):
            continue
        members = index.read(i)
        (suffix,) = members.keys() & set(VIDEO_SUFFIXES)
        thumbnails = np.load(io.BytesIO(members["thumbs.npy"])).astype(np.float32)
        data = members[suffix]
        for stored in (None, make_index(data)):
            with VideoReader.open(data, index=stored) as reader:
                numbers, frames = reader.sample(FrameSampling(num_frames=4))
                assert [_nearest(frame, thumbnails) for frame in frames] == numbers, index.key(i)
                assert len(reader) == len(thumbnails)
                assert not reader.was_redone
                starts[index.key(i)] = reader.info.start
    assert len(starts) == 5
    assert starts["orig-city"] == pytest.approx(0.54)  # the program stream
