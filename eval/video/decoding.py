"""Clips to what a model is shown: decoded in guarded processes, some clips ahead, part by part.

A clip of any number of frames is bounded in memory: ``FRAMES_AT_ONCE`` of its frames, or as many as
``BYTES_AT_ONCE`` hold, exist in the size of the video; what is kept has the model's size.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from data_pipelines.errors import BadSampleError
from data_pipelines.video.process import ProcessLimits, VideoProcess
from data_pipelines.video.sampler import FrameSampling
from eval.data.views import ImageTransform
from eval.video.clip_set import EvalClip, VideoMember
from eval.video.options import VideoOptions
from eval.video.packed import PackedFrames

#: Frames of one clip in the size of its video, at most or where they are larger than the bytes.
FRAMES_AT_ONCE = 32
BYTES_AT_ONCE = 256 << 20

_MAX_BYTES = 16 << 30  # of a video, which is read from its file where it has one


class ClipPicture(NamedTuple):
    """One chosen frame of a clip.

    Attributes:
        place: in the clip; one that comes again is meant anew.
        picture: in the size of the video.
        seconds: from the first frame of the video; NaN where frames are stored without times.
    """

    place: int
    picture: Image.Image
    seconds: float


class ShownClip(NamedTuple):
    """One clip as the model sees it.

    Attributes:
        pixels: None where it cannot be decoded.
        seconds: that decoding and resizing took, in one thread.
    """

    pixels: UInt8[Tensor, "frames 3 height width"] | None
    seconds: float


def shown_clips(
    clips: Sequence[EvalClip],
    transform: ImageTransform,
    sampling: FrameSampling,
    options: VideoOptions,
) -> Iterator[ShownClip]:
    """Clips in order as the model sees them, decoded some ahead.

    Raises:
        MissingDecoderError: this machine cannot read videos, and there are some.
    """
    decoders = Decoders(options)
    if not all(isinstance(clip.source, PackedFrames) for clip in clips):
        decoders.own().check()
    with ThreadPoolExecutor(options.workers, thread_name_prefix="video") as pool:
        jobs = (pool.submit(_shown, clip, transform, sampling, decoders) for clip in clips)
        pending: deque[Future[ShownClip]] = deque(islice(jobs, options.workers + 1))
        try:
            while pending:
                yield pending.popleft().result()
                pending.extend(islice(jobs, 1))
        finally:
            for job in pending:
                job.cancel()
            pool.shutdown(wait=True)
            decoders.close()


def pictures_of(
    clip: EvalClip, sampling: FrameSampling, process: VideoProcess
) -> Iterator[ClipPicture]:
    """Chosen frames of a clip, some at a time in memory.

    Raises:
        BadSampleError: it cannot be decoded.
    """
    if isinstance(clip.source, PackedFrames):
        for place, picture in enumerate(clip.source.chosen(sampling)):
            yield ClipPicture(place, picture, math.nan)
        return
    source = clip.source
    video, index = source.with_index() if isinstance(source, VideoMember) else (source.video(), b"")
    parts = process.sample_in_parts(
        video,
        sampling,
        most=FRAMES_AT_ONCE,
        most_bytes=BYTES_AT_ONCE,
        span=clip.span,
        index=index,
    )
    for part in parts:
        timed = zip(part.frames, part.seconds, strict=True)
        for place, (frame, seconds) in enumerate(timed, start=part.first):
            yield ClipPicture(place, Image.fromarray(frame), seconds)


def as_pixels(
    pictures: Iterator[ClipPicture], transform: ImageTransform, sampling: FrameSampling
) -> UInt8[Tensor, "frames 3 height width"]:
    """Frames as the model sees them, each transformed as soon as it is there.

    Raises:
        BadSampleError: a clip has no picture, or what ``pictures`` raises.
    """
    pixels: Tensor | None = None
    for place, picture, _ in pictures:
        one = transform(picture)
        if pixels is None:
            pixels = one.new_empty((sampling.num_frames, *one.shape))
        pixels[place] = one
    if pixels is None:
        raise BadSampleError("broken video", "no frame of it was decoded")
    return pixels


class Decoders:
    """A decoding process for each thread.

    Args:
        options: name the decoder, and say how long it may take.
    """

    def __init__(self, options: VideoOptions) -> None:
        self._options = options
        self._local = threading.local()
        self._all: list[VideoProcess] = []

    def own(self) -> VideoProcess:
        """Of the thread that asks."""
        if not hasattr(self._local, "process"):
            limits = ProcessLimits(seconds=self._options.deadline, max_bytes=_MAX_BYTES)
            self._local.process = VideoProcess(limits, decoder=self._options.decoder)
            self._all.append(self._local.process)
        return self._local.process

    def close(self) -> None:
        """End all of them."""
        for process in self._all:
            process.close()


def _shown(
    clip: EvalClip, transform: ImageTransform, sampling: FrameSampling, decoders: Decoders
) -> ShownClip:
    start = time.perf_counter()
    pixels: Tensor | None = None
    try:
        pixels = as_pixels(pictures_of(clip, sampling, decoders.own()), transform, sampling)
    except BadSampleError:
        pixels = None
    return ShownClip(pixels, time.perf_counter() - start)
