"""Whole clips with their times, decoded some ahead, each made into what its task wants of it."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from data_pipelines.errors import BadSampleError
from data_pipelines.video.process import SampledClip
from data_pipelines.video.sampler import FrameSampling
from eval.data.views import ImageTransform
from eval.video.clip_set import EvalClip
from eval.video.decoding import Decoders
from eval.video.options import VideoOptions
from eval.video.packed import PackedFrames

Made = TypeVar("Made")


class ClipDecoder:
    """Threads with a decoding process each; for use in a ``with`` block.

    Args:
        options: name the decoder, how many there are, and how long each may take.
    """

    def __init__(self, options: VideoOptions) -> None:
        self._workers = options.workers
        self._pool = ThreadPoolExecutor(options.workers, thread_name_prefix="video")
        self._decoders = Decoders(options)

    def __enter__(self) -> "ClipDecoder":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._decoders.close()

    def check(self) -> None:
        """Find out before the first clip whether this machine can read any.

        Raises:
            MissingDecoderError: it cannot.
        """
        self._pool.submit(lambda: self._decoders.own().check()).result()

    def each(
        self,
        clips: Iterable[EvalClip],
        sampling: FrameSampling,
        make: Callable[[SampledClip], Made],
    ) -> Iterator[Made | None]:
        """What is made of each clip, in order; None for those that cannot be decoded.

        Args:
            make: called in the threads.
        Raises:
            MissingDecoderError: this machine cannot read videos.
        """
        jobs = (self._pool.submit(self._made, clip, sampling, make) for clip in clips)
        pending: deque[Future[Made | None]] = deque(islice(jobs, self._workers + 1))
        try:
            while pending:
                yield pending.popleft().result()
                pending.extend(islice(jobs, 1))
        finally:
            for job in pending:
                job.cancel()

    def _made(
        self, clip: EvalClip, sampling: FrameSampling, make: Callable[[SampledClip], Made]
    ) -> Made | None:
        if isinstance(clip.source, PackedFrames):
            return None
        try:
            sampled = self._decoders.own().sample(
                clip.source.video(), sampling.num_frames, sampling.sampler, span=clip.span
            )
        except BadSampleError:
            return None
        return make(sampled)


def as_shown(
    transform: ImageTransform, sampled: SampledClip
) -> UInt8[Tensor, "frames 3 height width"]:
    """Frames as the model sees them."""
    return torch.stack([transform(Image.fromarray(frame)) for frame in sampled.frames])
