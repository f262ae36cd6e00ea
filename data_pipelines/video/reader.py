"""Frames of a video by number or by time: the frames asked for, or an error."""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, UInt8

from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.video.access import FrameAccess, are_alike
from data_pipelines.video.decoders import DecoderName, other_decoder
from data_pipelines.video.frame_index import FrameIndex, digest_of
from data_pipelines.video.info import VideoInfo
from data_pipelines.video.limits import DecodeLimits, Source
from data_pipelines.video.promised_size import refuse_truncated
from data_pipelines.video.sampler import FrameSampling, choose_frames, frame_at
from data_pipelines.video.table import FrameTable


class FramesPart(NamedTuple):
    """Some frames of a clip.

    Attributes:
        first: place of the first of them in the clip.
        numbers: in the video, of all frames of the clip.
        frames: upright pixels.
    """

    first: int
    numbers: list[int]
    frames: UInt8[np.ndarray, "frames height width 3"]


class VideoReader:
    """Frames of one video, counted from 0 in the order in which they are shown.

    Frame i is the i-th that decoding from the start would give, in every container. Decoding
    begins at the key frame before a wanted frame where the container can be relied on; whatever
    comes back is checked, and the video is decoded from its start where anything else came.

    In this process: a broken file may take long or, rarely, crash the decoder.
    ``VideoProcess`` decodes in a process that can be killed.

    Args:
        source: a seekable stream of the encoded video, open as long as the reader is used.
        decoder: "pyav"; "torchcodec" (its exact mode) or "decord", if installed, decode the
            frames of containers that can be relied on, and are checked in the same way.
        limits: what is refused.
        index: of the frames, which spares the pass over the packets; one of another video is
            not used.
    Raises:
        BadSampleError: no video that can be read, or one over the limits.
        MissingDecoderError: PyAV or the decoder is missing.
    """

    def __init__(
        self,
        source: Source,
        *,
        decoder: DecoderName = "pyav",
        limits: DecodeLimits | None = None,
        index: FrameIndex | None = None,
    ) -> None:
        self._source = source
        other = other_decoder(decoder)
        fitting = index if index is not None and index.digest == digest_of(source) else None
        self._access = FrameAccess(source, limits or DecodeLimits(), index=fitting, other=other)

    @classmethod
    def open(
        cls,
        video: bytes | str | Path,
        *,
        decoder: DecoderName = "pyav",
        limits: DecodeLimits | None = None,
        index: FrameIndex | bytes | None = None,
    ) -> "VideoReader":
        """Read encoded bytes, or a file.

        Args:
            index: as made by :func:`make_index`; a broken one is not used.
        Raises:
            BadSampleError: "zero bytes", "truncated video", and see the class.
            DataError: there is no such file.
        """
        if isinstance(video, bytes):
            refuse_truncated(video)
            return cls(io.BytesIO(video), decoder=decoder, limits=limits, index=_usable(index))
        try:
            source = Path(video).open("rb")  # noqa: SIM115
        except OSError as error:
            raise DataError(f"cannot read the video {video}: {error.strerror}") from error
        try:
            refuse_truncated(source)
            return cls(source, decoder=decoder, limits=limits, index=_usable(index))
        except BaseException:
            source.close()
            raise

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._access.table)

    def close(self) -> None:
        """Free the decoder; the reader is of no more use."""
        self._access.video.close()
        self._source.close()

    @property
    def uses_index(self) -> bool:
        """Whether the index that was given fits this video and has led to the right frames."""
        return self._access.index is not None

    @property
    def was_redone(self) -> bool:
        """Whether anything else than was expected came back, and was decoded again."""
        return self._access.was_redone

    @property
    def starts(self) -> Float64[np.ndarray, " frames"]:
        """Seconds at which frames are shown, counted from the first."""
        return self._access.table.starts

    @property
    def info(self) -> VideoInfo:
        """What is known about the video; decodes the first frame unless an index says it.

        Raises:
            BadSampleError: "broken video".
        """
        if not self._access.picture.is_known:
            self.frames([0])
        table, picture, video = self._access.table, self._access.picture, self._access.video
        width, height = picture.upright_size
        return VideoInfo(
            frames=len(table),
            duration=table.duration,
            fps=len(table) / table.duration if table.duration > 0 else 0.0,
            start=table.start,
            width=width,
            height=height,
            rotation=picture.upright.degrees,
            is_mirrored=picture.upright.is_mirrored,
            container=video.format,
            codec=video.codec,
            is_timed=table.is_timed,
            starts=table.starts,
        )

    def frames(self, indices: Iterable[int]) -> UInt8[np.ndarray, "frames height width 3"]:
        """Frames by number, upright, in the order asked for.

        Raises:
            BadSampleError: "broken video", "too many pixels".
            IndexError: there is no such frame.
        """
        numbers = [int(number) for number in indices]
        for number in numbers:
            if not 0 <= number < len(self):
                raise IndexError(f"no frame {number} in a video of {len(self)} frames")
        if not numbers and not self._access.picture.is_known:
            self._access.gathered([0])
        return self._access.gathered(numbers).frames(len(self))

    def frames_at(self, seconds: Sequence[float]) -> UInt8[np.ndarray, "frames height width 3"]:
        """The frames that are shown at moments, in seconds from the first frame.

        Moments before the first and after the last frame give those.
        """
        starts = self.starts
        return self.frames(frame_at(starts, moment) for moment in seconds)

    def sample(
        self,
        sampling: FrameSampling,
        *,
        span: tuple[float, float | None] | None = None,
        draws: list[float] | None = None,
    ) -> tuple[list[int], UInt8[np.ndarray, "frames height width 3"]]:
        """Numbers of the frames that a rule chooses (see ``choose_frames``), and the frames.

        Raises:
            BadSampleError: as ``frames``, and "no frames" in the span.
        """
        access = self._access

        def chosen(table: FrameTable) -> list[int]:
            return choose_frames(table.starts, table.duration, sampling, span=span, draws=draws)

        guess = access.first_guess()
        if guess is not None:
            numbers = []
            with suppress(BadSampleError):  # the guess may not reach the span
                numbers = chosen(guess)
            gathered = access.from_start(numbers)
            if numbers and are_alike(access.table, guess):
                return numbers, gathered.frames(len(guess))
        while True:
            table = access.table
            numbers = chosen(table)
            gathered = access.gathered(numbers)
            if are_alike(access.table, table):
                return numbers, gathered.frames(len(table))
            # Decoding showed that there are other frames than packets or an index said.

    def sample_in_parts(
        self,
        sampling: FrameSampling,
        *,
        most: int,
        most_bytes: int = 0,
        span: tuple[float, float | None] | None = None,
    ) -> Iterator["FramesPart"]:
        """What ``sample`` gives, some frames at a time, so that no clip is too long to be held.

        Where decoding shows that there are other frames than packets or an index said, it begins
        anew: parts that come later replace those of the same places.

        Args:
            most: frames of a part; more where the container can only be decoded from its start.
            most_bytes: of the pixels of a part whose frames are so small that more of them fit:
                each part begins at a key frame, so few large parts cost less.
        Raises:
            BadSampleError: as ``sample``.
        """
        access = self._access
        if access.first_guess() is not None:
            access.from_start([0])
            width, height = access.picture.upright_size
            most = max(most, access.limits.max_output_bytes // max(3 * width * height, 1))
        is_done = False
        while not is_done:
            table = access.table
            numbers = choose_frames(table.starts, table.duration, sampling, span=span)
            is_done = True
            first = 0
            while first < len(numbers):
                gathered = access.gathered(numbers[first : first + most])
                if not are_alike(access.table, table):
                    is_done = False
                    break
                frames = gathered.frames(len(table))
                yield FramesPart(first, numbers, frames)
                first += len(frames)
                most = max(most, most_bytes // max(frames[0].size, 1))

    def make_index(self) -> FrameIndex:
        """The index of this video, from decoding all of it once, whatever the container.

        Raises:
            BadSampleError: "broken frame index": the decoder does not tell its frames apart.
        """
        access = self._access
        if not access.table.is_decoded or access.index is not None:
            access.from_start([0])
        if not access.picture.is_known:
            self.frames([0])
        if access.table.packets[0] < 0:
            raise BadSampleError("broken frame index", "the frames have no packets of their own")
        picture = access.picture
        return FrameIndex(
            table=access.table,
            digest=digest_of(self._source),
            width=picture.size[0],
            height=picture.size[1],
            quarters=picture.upright.quarters,
            is_mirrored=picture.upright.is_mirrored,
            needs_probe=not access.video.has_header,
        )


def make_index(video: bytes | str | Path, *, limits: DecodeLimits | None = None) -> bytes:
    """The frame index of a video in its stored form, to lie beside the video.

    Raises:
        BadSampleError: no video that can be read, or one over the limits.
    """
    with VideoReader.open(video, limits=limits) as reader:
        return reader.make_index().to_bytes()


def _usable(index: FrameIndex | bytes | None) -> FrameIndex | None:
    if not isinstance(index, bytes):
        return index
    try:
        return FrameIndex.from_bytes(index)
    except BadSampleError:
        return None
