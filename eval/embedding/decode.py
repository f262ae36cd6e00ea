"""Encoded images to batches of pixels: decoded ahead in threads, never many at a time.

Pillow releases the interpreter lock while it decodes and resizes, so threads run side by side
without the start-up cost and copies of processes.
"""

import hashlib
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8, UInt64
from PIL import Image
from torch import Tensor

from data_pipelines.errors import DataError, ShardError
from eval.data.dataset import StoredImages
from eval.data.raw_image import RawImage
from eval.data.views import Frame, ImageTransform, ModelFrame
from vlsuite.models.identity import identity

MODEL_FRAME = ModelFrame()

_BATCHES_AHEAD = 2
_IMAGES_PER_JOB = 16


class ImageBatch(NamedTuple):
    """Pixels in [0, 255]; rows that could not be decoded are black and marked.

    Attributes:
        images: all of one frame.
        is_good: whether each could be decoded.
        image_ids: see ``StoredImages``.
        frame: number of the frame among those asked for.
        first: place of the batch among the rows asked for.
    """

    images: UInt8[Tensor, "batch 3 height width"]
    is_good: Bool[np.ndarray, " batch"]
    image_ids: UInt64[np.ndarray, " batch"]
    frame: int = 0
    first: int = 0


@runtime_checkable
class Decoder(Protocol):
    """Yields chosen images of a data set as batches, in order."""

    def batches(
        self,
        images: StoredImages,
        transform: ImageTransform,
        rows: Int64[np.ndarray, " rows"],
        frames: Sequence[Frame] = (MODEL_FRAME,),
    ) -> Iterator[ImageBatch]:
        """All of ``rows``, each batch in all frames; every batch but the last has equal length."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamingDecoder:
    """Decodes on the fly; holds the pixels of at most three batches of frames.

    Args:
        batch_size: images in a batch.
        workers: decoding threads, at least 1.
    """

    batch_size: int
    workers: int

    def batches(
        self,
        images: StoredImages,
        transform: ImageTransform,
        rows: Int64[np.ndarray, " rows"],
        frames: Sequence[Frame] = (MODEL_FRAME,),
    ) -> Iterator[ImageBatch]:
        """See ``Decoder``.

        Raises:
            ShardError: a shard changed or vanished since it was opened.
        """
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="decode")
        jobs = self._jobs(pool, images, transform, rows, frames)
        pending: deque[_Job] = deque(islice(jobs, _BATCHES_AHEAD))
        try:
            while pending:
                job = pending.popleft()
                pixels = [image for part in job.parts for image in part.result()]
                pending.extend(islice(jobs, 1))
                yield _batch(pixels, job, images, transform)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _jobs(
        self,
        pool: ThreadPoolExecutor,
        images: StoredImages,
        transform: ImageTransform,
        rows: Int64[np.ndarray, " rows"],
        frames: Sequence[Frame],
    ) -> Iterator["_Job"]:
        for first in range(0, len(rows), self.batch_size):
            batch_rows = rows[first : first + self.batch_size]
            samples = [_Sample(images, row) for row in batch_rows.tolist()]
            for number, frame in enumerate(frames):
                parts = [
                    pool.submit(_frames, samples[i:j], frame, transform)
                    for i, j in _spans(len(samples))
                ]
                yield _Job(parts, batch_rows, number, first)


class _Job(NamedTuple):
    """A batch in one frame, being decoded."""

    parts: list[Future[list[Tensor | None]]]
    rows: Int64[np.ndarray, " batch"]
    frame: int
    first: int


class _Sample:
    """A picture that is read and decoded by the first frame that wants it."""

    def __init__(self, images: StoredImages, row: int) -> None:
        self._images = images
        self._row = row
        self._lock = threading.Lock()
        self._picture: RawImage | None = None

    def frame(self, frame: Frame, transform: ImageTransform) -> Tensor | None:
        """Pixels, None where they cannot be had."""
        with self._lock:
            if self._picture is None:
                image_id = int(self._images.image_ids[self._row])
                self._picture = RawImage(self._images.members(self._row), image_id)
            try:
                return frame(self._picture, transform)
            except ShardError:
                raise
            except DataError:
                return None


class CachingDecoder:
    """Decodes a small data set once and keeps its pixels for later calls.

    One data set and one share of its rows: another share, another transform or pixels beyond the
    limit are streamed.

    Args:
        inner: what decodes.
        limit_bytes: most memory the kept pixels may take.
    """

    def __init__(self, inner: StreamingDecoder, *, limit_bytes: int) -> None:
        self._inner = inner
        self._limit_bytes = limit_bytes
        self._key = b""
        self._kept: list[ImageBatch] = []

    @property
    def is_filled(self) -> bool:
        """Whether pixels are kept."""
        return bool(self._kept)

    def batches(
        self,
        images: StoredImages,
        transform: ImageTransform,
        rows: Int64[np.ndarray, " rows"],
        frames: Sequence[Frame] = (MODEL_FRAME,),
    ) -> Iterator[ImageBatch]:
        """See ``Decoder``."""
        if tuple(frames) != (MODEL_FRAME,):
            yield from self._inner.batches(images, transform, rows, frames)
            return
        key = _fingerprint(images, transform, rows)
        if self._kept and key == self._key:
            yield from self._kept
            return
        self._kept = []
        kept: list[ImageBatch] = []
        fits = transform(Image.new("RGB", (8, 8))).numel() * len(rows) <= self._limit_bytes
        for batch in self._inner.batches(images, transform, rows):
            if fits:
                kept.append(batch)
            yield batch
        self._key, self._kept = key, kept


def probe_image() -> Image.Image:
    """A fixed odd-sized noise picture: what becomes of it tells transforms and models apart."""
    pixels = np.random.default_rng(20210226).integers(0, 256, size=(61, 97, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def _frames(
    samples: Sequence[_Sample], frame: Frame, transform: ImageTransform
) -> list[Tensor | None]:
    return [sample.frame(frame, transform) for sample in samples]


def _batch(
    pixels: list[Tensor | None], job: _Job, images: StoredImages, transform: ImageTransform
) -> ImageBatch:
    """Black pictures stand in for broken ones, so that all batches have the model's shape."""
    is_good = np.array([image is not None for image in pixels], dtype=bool)
    like = next((image for image in pixels if image is not None), None)
    blank = torch.zeros_like(transform(Image.new("RGB", (8, 8))) if like is None else like)
    filled = torch.stack([blank if image is None else image for image in pixels])
    return ImageBatch(filled, is_good, images.image_ids[job.rows], job.frame, job.first)


def _spans(count: int) -> list[tuple[int, int]]:
    return [(i, min(i + _IMAGES_PER_JOB, count)) for i in range(0, count, _IMAGES_PER_JOB)]


def _fingerprint(
    images: StoredImages, transform: ImageTransform, rows: Int64[np.ndarray, " rows"]
) -> bytes:
    """Tells data, rows and transform apart; a transform by what it does, not by its identity."""
    digest = hashlib.sha256(identity(transform=transform).encode())
    digest.update(transform(probe_image()).numpy().tobytes())
    digest.update(images.fingerprint())
    digest.update(rows.tobytes())
    return digest.digest()
