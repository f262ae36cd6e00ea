"""Encoded images to batches of pixels: decoded ahead in threads, never many at a time.

Pillow releases the interpreter lock while it decodes and resizes, so threads run side by side
without the start-up cost and copies of processes.
"""

import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8
from PIL import Image
from torch import Tensor

from data_pipelines.errors import DataError
from eval.contract import ImageTransform
from eval.dataset import ShardImages
from vlsuite.batches.decode import decode_image

_BATCHES_AHEAD = 2
_IMAGES_PER_JOB = 16


class ImageBatch(NamedTuple):
    """Pixels in [0, 255]; rows that could not be decoded are black and marked."""

    images: UInt8[Tensor, "batch 3 height width"]
    is_good: Bool[np.ndarray, " batch"]


@runtime_checkable
class Decoder(Protocol):
    """Yields chosen images of a data set as batches, in order."""

    def batches(
        self, images: ShardImages, transform: ImageTransform, rows: Int64[np.ndarray, " rows"]
    ) -> Iterator[ImageBatch]:
        """All of ``rows``; each batch but the last has the same length."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamingDecoder:
    """Decodes on the fly; holds the pixels of at most three batches.

    Args:
        batch_size: images in a batch.
        workers: decoding threads, at least 1.
    """

    batch_size: int
    workers: int

    def batches(
        self, images: ShardImages, transform: ImageTransform, rows: Int64[np.ndarray, " rows"]
    ) -> Iterator[ImageBatch]:
        """See ``Decoder``.

        Raises:
            ShardError: a shard changed or vanished since it was opened.
        """
        blank = torch.zeros_like(transform(Image.new("RGB", (8, 8))))
        starts = deque(range(0, len(rows), self.batch_size))
        pending: deque[list[Future[list[Tensor | None]]]] = deque()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="decode")
        try:
            while starts or pending:
                while starts and len(pending) < _BATCHES_AHEAD:
                    start = starts.popleft()
                    batch_rows = rows[start : start + self.batch_size].tolist()
                    pending.append(
                        [
                            pool.submit(_decode_rows, images, transform, batch_rows[i:j])
                            for i, j in _spans(len(batch_rows))
                        ]
                    )
                pixels = [image for job in pending.popleft() for image in job.result()]
                is_good = np.array([image is not None for image in pixels], dtype=bool)
                filled = [blank if image is None else image for image in pixels]
                yield ImageBatch(torch.stack(filled), is_good)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


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
        self, images: ShardImages, transform: ImageTransform, rows: Int64[np.ndarray, " rows"]
    ) -> Iterator[ImageBatch]:
        """See ``Decoder``."""
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


def _decode_rows(
    images: ShardImages, transform: ImageTransform, rows: list[int]
) -> list[Tensor | None]:
    return [_pixels(images.read(row), transform) for row in rows]


def _pixels(encoded: bytes, transform: ImageTransform) -> Tensor | None:
    try:
        picture = decode_image(encoded)
    except DataError:
        return None
    return transform(picture)


def _spans(count: int) -> list[tuple[int, int]]:
    return [(i, min(i + _IMAGES_PER_JOB, count)) for i in range(0, count, _IMAGES_PER_JOB)]


def _fingerprint(
    images: ShardImages, transform: ImageTransform, rows: Int64[np.ndarray, " rows"]
) -> bytes:
    """Tells data, rows and transform apart; a transform by what it does, not by its identity."""
    digest = hashlib.sha256(transform(probe_image()).numpy().tobytes())
    for shard in images.shards:
        digest.update(str(shard.path).encode("utf-8", "surrogateescape"))
    digest.update(images.places[rows].tobytes())
    return digest.digest()
