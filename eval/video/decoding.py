"""Clips decoded some ahead by guarded processes, each made into what its task wants of it."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from data_pipelines.errors import BadSampleError
from data_pipelines.video.process import SampledClip, VideoProcess
from data_pipelines.video.sampler import FrameSampling
from eval.video.clip_set import EvalClip

Made = TypeVar("Made")


class ClipDecoder:
    """Threads with a decoding process each; for use in a ``with`` block.

    Args:
        workers: threads, at least 1.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="video")
        self._local = threading.local()
        self._all: list[VideoProcess] = []

    def __enter__(self) -> "ClipDecoder":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        for process in self._all:
            process.close()

    def check(self) -> None:
        """Find out before the first clip whether this machine can read any.

        Raises:
            MissingDecoderError: it cannot.
        """
        self._pool.submit(lambda: self._process().check()).result()

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
        try:
            sampled = self._process().sample(
                clip.source.video(), sampling.num_frames, sampling.sampler, span=clip.span
            )
        except BadSampleError:
            return None
        return make(sampled)

    def _process(self) -> VideoProcess:
        if not hasattr(self._local, "process"):
            self._local.process = VideoProcess()
            self._all.append(self._local.process)
        return self._local.process
