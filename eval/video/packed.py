"""Clips stored as pictures, some frames of each, as ``data build video --store frames`` makes."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

from data_pipelines.errors import BadSampleError
from data_pipelines.schema import Frames
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.stored_sample import StoredSample
from data_pipelines.video.sampler import FrameSampling, choose_frames
from vlsuite.batches.decode import decode_image


class PackedFrames(NamedTuple):
    """Frames in a shard.

    Attributes:
        shard, number: where they lie.
        stored_digest: of all of them, taken when the set was opened.
        num_frames: that are stored.
    """

    shard: ShardIndex
    number: int
    stored_digest: bytes
    num_frames: int

    def digest(self) -> bytes:
        """Tells clips apart."""
        return self.stored_digest

    def frames(self) -> Frames:
        """All that are stored, in order of time.

        Raises:
            BadSampleError: the sample holds none any more, or their numbers make no sense.
        """
        found = StoredSample(self.shard.key(self.number), self.shard.read(self.number)).frames
        if found is None:
            raise BadSampleError("no frames", "the sample holds no frames")
        return found

    def first(self) -> bytes:
        """The first frame as it is stored, or its pixels.

        Raises:
            BadSampleError: see ``frames``.
        """
        frames = self.frames()
        return frames.images[0].data if frames.pixels is None else frames.pixels[0].tobytes()

    def chosen(self, sampling: FrameSampling) -> Iterator[Image.Image]:
        """Some of them, repeated where there are too few.

        The rule chooses among the stored frames as if these were the whole video; they are taken
        to be equally far apart.

        Raises:
            BadSampleError: a frame is broken.
        """
        frames = self.frames()
        total = num_stored(frames)
        starts = np.arange(total, dtype=np.float64)
        for number in choose_frames(starts, float(total), sampling):
            if frames.pixels is not None:
                yield Image.fromarray(frames.pixels[number])
            else:
                yield decode_image(frames.images[number].data)


def num_stored(frames: Frames) -> int:
    """How many frames a sample holds."""
    return len(frames.images) if frames.pixels is None else len(frames.pixels)
