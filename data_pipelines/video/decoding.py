"""Packets to decoded frames, each known by the packet it came from."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from data_pipelines.errors import BadSampleError
from data_pipelines.video.opening import OpenVideo

#: Packets that cannot be decoded, after the first frame, before a video is refused. What follows
#: such a packet may be made up by the decoder.
_MAX_FAILURES = 1


class Numbered(NamedTuple):
    """A packet and its number among the packets of the stream."""

    number: int
    packet: Any


class Decoding:
    """The decoder of an open video.

    Each packet gets its number as time stamp, which FFmpeg hands on to the frame it decodes from
    it, so that ``frame.pts`` says which packet a frame came from, in whatever order frames are
    shown.
    """

    def __init__(self, video: OpenVideo) -> None:
        from av.error import FFmpegError

        self._context = video.context
        self._error = FFmpegError
        self._skip = ""
        self.num_failures = 0

    def restart(self) -> None:
        """Forget everything, before a packet that decoding can start at."""
        self._context.flush_buffers()

    def frames(self, packet: Numbered, *, needed: bool = True) -> list[Any]:
        """Frames that are ready now, if any, in the order in which they are shown.

        Args:
            needed: False leaves the frame out if no other refers to it.
        """
        skip = "DEFAULT" if needed else "NONREF"
        if skip != self._skip:
            self._context.skip_frame = self._skip = skip
        packet.packet.pts = packet.number
        return self._decoded(packet.packet)

    def rest(self) -> list[Any]:
        """Frames that waited for their turn; the next packet has to follow ``restart``."""
        frames: list[Any] = []
        while True:
            try:
                frames += self._context.decode(None)
                return frames
            except EOFError:
                return frames
            except self._error:
                # What it waited with is gone; the next call goes on behind it.
                self.num_failures += 1
                if self.num_failures > _MAX_FAILURES:
                    return frames

    def _decoded(self, packet: Any) -> list[Any]:
        try:
            return self._context.decode(packet)
        except MemoryError:
            raise BadSampleError("video needs too much memory", "") from None
        except (self._error, ValueError):
            self.num_failures += 1
            return []


def decode_all(decoding: Decoding, packets: Iterable[Numbered]) -> Iterator[Any]:
    """Every frame from the start of a video, in order.

    Raises:
        BadSampleError: "broken video": several packets after the first frame cannot be decoded.
    """
    decoding.restart()
    failures_before = None
    for packet in packets:
        frames = decoding.frames(packet)
        if failures_before is None and frames:
            failures_before = decoding.num_failures
        if failures_before is not None:
            _refuse_failures(decoding.num_failures - failures_before)
        yield from frames
    yield from decoding.rest()


def _refuse_failures(count: int) -> None:
    if count > _MAX_FAILURES:
        raise BadSampleError("broken video", "several frames cannot be decoded")
