"""Frames of a video by number or by time: the frames asked for, or an error."""

import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8

from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.video.decode_run import decode_run
from data_pipelines.video.decoders import DecoderName, other_decoder
from data_pipelines.video.decoding import Decoding
from data_pipelines.video.frame_index import FrameIndex, digest_of
from data_pipelines.video.gathered import Gathered
from data_pipelines.video.info import VideoInfo
from data_pipelines.video.limits import DecodeLimits, Source
from data_pipelines.video.opening import OpenVideo
from data_pipelines.video.packets import read_packets, table_of_packets
from data_pipelines.video.picture import Picture
from data_pipelines.video.plan import plan
from data_pipelines.video.promised_size import refuse_truncated
from data_pipelines.video.runs_of_packets import (
    KeptPackets,
    MismatchError,
    PacketRuns,
    SoughtPackets,
)
from data_pipelines.video.sampler import FrameSampling, choose_frames, frame_at
from data_pipelines.video.scan import scan
from data_pipelines.video.table import FrameTable


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
        self._limits = limits or DecodeLimits()
        self._other = other_decoder(decoder)
        self._picture = Picture(self._limits)
        self._runs: PacketRuns | None = None
        self._is_fresh = False  # whether no packet of the open container was read
        self._index = index if index is not None and index.digest == digest_of(source) else None
        #: Whether anything else than was expected came back, so that all was decoded anew.
        self.was_redone = False
        self._video, self._table = self._by_index() or self._without_index()
        if len(self._table) > self._limits.max_frames:
            raise BadSampleError("too many frames", f"over {self._limits.max_frames}")

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
        return len(self._table)

    def close(self) -> None:
        """Free the decoder; the reader is of no more use."""
        self._video.close()
        self._source.close()

    @property
    def uses_index(self) -> bool:
        """Whether the index that was given fits this video and has led to the right frames."""
        return self._index is not None

    @property
    def info(self) -> VideoInfo:
        """What is known about the video; decodes the first frame unless an index says it.

        Raises:
            BadSampleError: "broken video".
        """
        if not self._picture.is_known:
            self.frames([0])
        table, picture = self._table, self._picture
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
            container=self._video.format,
            codec=self._video.codec,
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
            if not 0 <= number < len(self._table):
                raise IndexError(f"no frame {number} in a video of {len(self._table)} frames")
        if not numbers and not self._picture.is_known:
            self._gathered([0])
        return self._gathered(numbers).frames(len(self._table))

    def frames_at(self, seconds: Sequence[float]) -> UInt8[np.ndarray, "frames height width 3"]:
        """The frames that are shown at moments, in seconds from the first frame.

        Moments before the first and after the last frame give those.
        """
        starts = self._table.starts
        return self.frames(frame_at(starts, moment) for moment in seconds)

    @property
    def starts(self) -> Float64[np.ndarray, " frames"]:
        """Seconds at which frames are shown, counted from the first."""
        return self._table.starts

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
        while True:
            table = self._table
            numbers = choose_frames(table.starts, table.duration, sampling, span=span, draws=draws)
            gathered = self._gathered(numbers)
            if np.array_equal(self._table.pts, table.pts):
                return numbers, gathered.frames(len(table))
            # Decoding showed that there are other frames than packets or an index said.

    def make_index(self) -> FrameIndex:
        """The index of this video, from decoding all of it once, whatever the container.

        Raises:
            BadSampleError: "broken frame index": the decoder does not tell its frames apart.
        """
        if not self._table.is_decoded or self._index is not None:
            self._from_start([0])
        if not self._picture.is_known:
            self.frames([0])
        if self._table.packets[0] < 0:
            raise BadSampleError("broken frame index", "the frames have no packets of their own")
        picture = self._picture
        return FrameIndex(
            table=self._table,
            digest=digest_of(self._source),
            width=picture.size[0],
            height=picture.size[1],
            quarters=picture.upright.quarters,
            is_mirrored=picture.upright.is_mirrored,
            needs_probe=not self._video.has_header,
        )

    def _by_index(self) -> tuple[OpenVideo, FrameTable] | None:
        """Open with what an index says; None where there is none or it is of no use."""
        index = self._index
        if index is None:
            return None
        try:
            video = OpenVideo(self._source, self._limits, probe=index.needs_probe)
        except BadSampleError:
            self._index = None
            return None
        self._picture.know(index)
        self._is_fresh = True
        return video, index.table

    def _without_index(self) -> tuple[OpenVideo, FrameTable]:
        video = OpenVideo(self._source, self._limits)
        packets = read_packets(video, self._limits)
        table = table_of_packets(video, packets)
        if table is None:
            return self._scan()
        if packets.kept is not None:
            self._runs = KeptPackets(packets.kept)
        return video, table

    def _scan(
        self, on_frame: Callable[[int, Any], None] | None = None
    ) -> tuple[OpenVideo, FrameTable]:
        """Decode all, from a container opened anew."""
        video = OpenVideo(self._source, self._limits)
        self._runs = None
        return video, scan(video, self._limits, on_frame)

    def _gathered(self, numbers: Sequence[int]) -> Gathered:
        """By the index, else by the packets, else by decoding from the start.

        Lacks frames that are not there, where the table said otherwise.
        """
        self._picture.make_room(len(numbers))
        try:
            return self._planned(numbers)
        except MismatchError:
            self.was_redone = True
        if self._index is not None:
            self._index, self._picture = None, Picture(self._limits)
            self._picture.make_room(len(numbers))
            self._video, self._table = self._without_index()
            try:
                return self._planned(numbers)
            except MismatchError:
                pass
        return self._from_start(numbers)

    def _planned(self, numbers: Sequence[int]) -> Gathered:
        """Raises ``MismatchError`` where anything else than expected comes back."""
        table = self._table
        gathered = Gathered(numbers, self._picture)
        wanted = sorted(number for number in set(numbers) if number < len(table))
        if self._other is not None and table.is_timed and not table.is_decoded:
            for number, pixels in self._other(self._source, wanted, table).items():
                gathered.add_pixels(number, pixels)
            return gathered
        source = self._runs or self._sought()
        decoding = Decoding(self._video)
        for run in plan(table, wanted):
            decode_run(decoding, source.packets(run), run, gathered)
        return gathered

    def _sought(self) -> PacketRuns:
        if not self._is_fresh:
            self._video.close()
            probe = self._index is None or self._index.needs_probe
            self._video = OpenVideo(self._source, self._limits, probe=probe)
        self._is_fresh = False
        return SoughtPackets(self._video, self._table)

    def _from_start(self, numbers: Sequence[int]) -> Gathered:
        """Decode all of it, count the frames, and keep those that are wanted."""
        self._index = None
        gathered = Gathered(numbers, self._picture)
        self._video, self._table = self._scan(gathered.add)
        return gathered


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
