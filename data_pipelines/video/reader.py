"""Frames of a video by number or by time: the frames asked for, or an error."""

import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float64, UInt8

from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.video.decoders import DecoderName, other_decoder
from data_pipelines.video.decoding import Decoding
from data_pipelines.video.frame_index import FrameIndex, digest_of
from data_pipelines.video.info import VideoInfo
from data_pipelines.video.limits import DecodeLimits
from data_pipelines.video.opening import OpenVideo
from data_pipelines.video.packets import read_packets, table_of_packets
from data_pipelines.video.picture import Picture
from data_pipelines.video.plan import Run, plan
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
        source: BinaryIO,
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
        self._index = index if index is not None and index.digest == digest_of(source) else None
        #: Whether anything else than was expected came back, so that all was decoded anew.
        self.was_redone = False
        if self._index is not None:
            self._picture.know(self._index)
            self._video = OpenVideo(source, self._limits, probe=False)
            self._table = self._index.table
            self._refuse_frames()
        else:
            self._video = OpenVideo(source, self._limits)
            self._table = self._read_through()

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
            source: BinaryIO = io.BytesIO(video)
        else:
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
        self._picture.check_room(len(numbers))
        try:
            found = self._planned(set(numbers))
        except MismatchError:
            found = self._from_start(set(numbers))
        if not numbers:
            return np.zeros((0, *self._picture.upright_size[::-1], 3), dtype=np.uint8)
        return np.stack([found[number] for number in numbers])

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

    def choose(
        self,
        sampling: FrameSampling,
        *,
        span: tuple[float, float | None] | None = None,
        draws: list[float] | None = None,
    ) -> list[int]:
        """Numbers of the frames that a rule chooses; see ``choose_frames``."""
        table = self._table
        return choose_frames(table.starts, table.duration, sampling, span=span, draws=draws)

    def make_index(self) -> FrameIndex:
        """The index of this video, from decoding all of it once, whatever the container.

        Raises:
            BadSampleError: "broken frame index": the decoder does not tell its frames apart.
        """
        if not self._table.is_decoded or self._index is not None:
            self._from_start(set())
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
        )

    def _read_through(self) -> FrameTable:
        packets = read_packets(self._video, self._limits)
        table = table_of_packets(self._video, packets)
        if table is None:
            return self._scan()
        if packets.kept is not None:
            self._runs = KeptPackets(packets.kept)
        return table

    def _scan(self, on_frame: Callable[[int, Any], None] | None = None) -> FrameTable:
        """Decode all, from a container opened anew."""
        self._video = OpenVideo(self._source, self._limits)
        self._runs = None
        return scan(self._video, self._limits, on_frame)

    def _refuse_frames(self) -> None:
        if len(self._table) > self._limits.max_frames:
            raise BadSampleError("too many frames", f"over {self._limits.max_frames}")

    def _planned(self, wanted: set[int]) -> dict[int, np.ndarray]:
        if self._other is not None and self._table.is_timed and not self._table.is_decoded:
            return self._other(self._source, sorted(wanted), self._table)
        runs = plan(self._table, wanted)
        source = self._runs or self._sought()
        decoding = Decoding(self._video)
        found: dict[int, np.ndarray] = {}
        for run in runs:
            found |= self._decoded(decoding, source, run)
        return found

    def _sought(self) -> PacketRuns:
        self._video.close()
        self._video = OpenVideo(self._source, self._limits, probe=self._index is None)
        return SoughtPackets(self._video, self._table)

    def _decoded(self, decoding: Decoding, source: PacketRuns, run: Run) -> dict[int, np.ndarray]:
        """Raises ``MismatchError`` if any frame is missing or the start was no key frame."""
        decoding.restart()
        found: dict[int, np.ndarray] = {}
        is_sound = run.key < 0

        def take(frames: list[Any]) -> None:
            nonlocal is_sound
            for frame in frames:
                if frame.pts == run.first:
                    is_sound = is_sound or frame.key_frame
                if frame.pts in run.wanted:
                    found[run.wanted[frame.pts]] = self._picture.pixels(frame)

        for packet in source.packets(run):
            needed = packet.number in run.wanted or packet.number == run.first
            take(decoding.frames(packet, needed=needed))
        take(decoding.rest())
        if len(found) < len(run.wanted) or not is_sound or decoding.num_failures:
            raise MismatchError(f"{len(found)} of {len(run.wanted)} frames came back")
        return found

    def _from_start(self, wanted: set[int]) -> dict[int, np.ndarray]:
        """Decode all of it, count the frames, and keep those that are wanted."""
        found: dict[int, np.ndarray] = {}

        def take(number: int, frame: Any) -> None:
            if number in wanted:
                found[number] = self._picture.pixels(frame)

        self._index, self.was_redone = None, True
        self._table = self._scan(take)
        if len(found) < len(wanted):
            raise BadSampleError(
                "broken video",
                f"it ends at frame {len(self._table)}, before frame {max(wanted)}",
            )
        return found


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
