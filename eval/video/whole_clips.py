"""Clips decoded some ahead, part by part, each made into what its task wants of it."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from data_pipelines.errors import BadSampleError
from data_pipelines.video.sampler import FrameSampling
from eval.video.clip_set import EvalClip
from eval.video.decoding import ClipPicture, Decoders, pictures_of
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
        make: Callable[[Iterator[ClipPicture]], Made],
    ) -> Iterator[tuple[Made | None, float]]:
        """What is made of each clip, in order, and the seconds that it took in its thread.

        None is made of clips that cannot be decoded.

        Args:
            make: called in the threads; a clip's frames exist in the size of its video only while
                it takes them.
        Raises:
            MissingDecoderError: this machine cannot read videos.
        """
        jobs = (self._pool.submit(self._made, clip, sampling, make) for clip in clips)
        pending: deque[Future[tuple[Made | None, float]]] = deque(islice(jobs, self._workers + 1))
        try:
            while pending:
                yield pending.popleft().result()
                pending.extend(islice(jobs, 1))
        finally:
            for job in pending:
                job.cancel()

    def _made(
        self,
        clip: EvalClip,
        sampling: FrameSampling,
        make: Callable[[Iterator[ClipPicture]], Made],
    ) -> tuple[Made | None, float]:
        start, own = time.perf_counter(), None
        if not isinstance(clip.source, PackedFrames):
            try:
                own = make(pictures_of(clip, sampling, self._decoders.own()))
            except BadSampleError:
                own = None
        return own, time.perf_counter() - start
