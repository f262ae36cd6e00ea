"""One pass over the packets of a video, and what they tell of its frames."""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from data_pipelines.errors import BadSampleError
from data_pipelines.video.limits import DecodeLimits
from data_pipelines.video.opening import OpenVideo
from data_pipelines.video.table import FrameTable, usual_step

#: Stands for a time stamp that a packet lacks.
NO_TIME = -(2**63)

#: Frames a second where nothing says how many.
USUAL_RATE = 25

#: Containers whose packets say truly when each frame is shown and where decoding can start. In
#: program, transport and raw streams few packets have a time of their own.
_TOLD_BY_PACKETS = {"mov", "matroska", "avi", "flv", "asf"}

#: Of these, the ones that store no times of showing: where frames are shown in another order than
#: they are stored in, FFmpeg guesses.
_WITHOUT_ORDER = {"avi", "asf"}

_VP9_SUPERFRAME = 0b110


class Packets(NamedTuple):
    """Of the video stream, in the order of the file.

    Attributes:
        pts: time stamps; ``NO_TIME`` where a packet has none.
        dts: likewise.
        keys: marked as a place to start at.
        shown: False for pictures that are only referred to, or cut away by an edit list.
        end: of the packet shown last, by its duration; 0 where that is unknown.
        kept: the packets themselves, or None where they are too large to keep.
    """

    pts: Int64[np.ndarray, " packets"]
    dts: Int64[np.ndarray, " packets"]
    keys: Bool[np.ndarray, " packets"]
    shown: Bool[np.ndarray, " packets"]
    durations: Int64[np.ndarray, " packets"]
    kept: list[Any] | None


def read_packets(video: OpenVideo, limits: DecodeLimits) -> Packets:
    """Demultiplex all of a video.

    Raises:
        BadSampleError: "too many frames".
    """
    rows: list[tuple[int, int, bool, bool, int]] = []
    kept: list[Any] | None = []
    size = 0
    is_shown = _SHOWN.get(video.codec)
    for packet in video_packets(video):
        pts, dts = packet.pts, packet.dts
        rows.append(
            (
                NO_TIME if pts is None else pts,
                NO_TIME if dts is None else dts,
                packet.is_keyframe,
                not packet.is_discard and (is_shown is None or is_shown(packet)),
                packet.duration or 0,
            )
        )
        if len(rows) > limits.max_frames:
            raise BadSampleError("too many frames", f"over {limits.max_frames}")
        size += packet.size
        if kept is not None:
            kept.append(packet)
            kept = kept if size <= limits.max_kept_bytes else None
    columns = [np.array(column) for column in zip(*rows, strict=True)] or [np.zeros(0)] * 5
    pts, dts, keys, shown, durations = columns
    return Packets(
        pts.astype(np.int64),
        dts.astype(np.int64),
        keys.astype(bool),
        shown.astype(bool),
        durations.astype(np.int64),
        kept,
    )


def video_packets(video: OpenVideo) -> Any:
    """Packets of the video stream from where the container stands; damage ends them."""
    from av.error import FFmpegError

    try:
        for packet in video.container.demux(video.stream):
            if packet.size:
                yield packet
    except (FFmpegError, IndexError):  # IndexError: PyAV at the end, if streams were added
        return


def table_of_packets(video: OpenVideo, packets: Packets) -> FrameTable | None:
    """All frames by their packets' times; None where those cannot be relied on.

    Raises:
        BadSampleError: "no frames", "time stamps without sense".
    """
    if not len(packets.pts) or not tells_order(video):
        return None
    shown = np.flatnonzero(packets.shown)
    pts = packets.pts[shown]
    if not len(shown) or not packets.keys[0] or (pts == NO_TIME).any():
        return None
    order = np.argsort(pts, kind="stable")
    numbers, pts = shown[order], pts[order]
    # Frames shown before the first key frame may refer to ones that the file lacks.
    if (np.diff(pts) <= 0).any() or (packets.shown[0] and numbers[0] != 0):
        return None
    return FrameTable(
        packets=numbers,
        pts=pts,
        keys=packets.keys[numbers],
        dts=_seek_times(packets)[numbers],
        end=int(pts[-1]) + (int(packets.durations[numbers[-1]]) or usual_step(pts)),
        time_base=video.stream.time_base,
        num_packets=len(packets.pts),
        is_timed=True,
        is_decoded=False,
    )


def guessed_table(video: OpenVideo, packets: Packets) -> FrameTable | None:
    """Frames as packets suggest them, one a packet, to be confirmed; None without any packet."""
    pts = np.sort(packets.pts[packets.shown])
    if not len(pts):
        return None
    if pts[0] == NO_TIME or (np.diff(pts) <= 0).any():
        pts = np.arange(len(pts), dtype=np.int64)
        base, step = 1 / Fraction(video.stream.average_rate or USUAL_RATE), 1
    else:
        base, step = video.stream.time_base, usual_step(pts)
    return FrameTable(
        packets=np.full(len(pts), -1),
        pts=pts,
        keys=np.zeros(len(pts), dtype=bool),
        dts=pts,
        end=int(pts[-1]) + step,
        time_base=base,
        num_packets=len(packets.pts),
        is_timed=False,
        is_decoded=False,
    )


def tells_order(video: OpenVideo) -> bool:
    """Whether packets of the container say when their frames are shown."""
    names = set(video.format.split(","))
    if not names & _TOLD_BY_PACKETS:
        return False
    is_untold = names & _WITHOUT_ORDER or ("matroska" in names and video.has_foreign_codec)
    return not (is_untold and video.can_reorder)


def _seek_times(packets: Packets) -> Int64[np.ndarray, " packets"]:
    return np.where(packets.dts == NO_TIME, packets.pts, packets.dts)


def _vp8_is_shown(packet: Any) -> bool:
    """RFC 6386 section 9.1: bit 4 of a frame's first byte."""
    return bool(bytes(memoryview(packet)[:1])[0] & 0x10)


def _vp9_is_shown(packet: Any) -> bool:
    """VP9 bitstream specification 0.6, sections 6.2 (uncompressed header) and B (superframes)."""
    data = memoryview(packet)
    if data[-1] >> 5 == _VP9_SUPERFRAME:  # holds a shown frame as its last
        return True
    first = data[0]
    if first >> 4 & 0b11 == 0b11:  # profile 3: one reserved bit more
        return bool(first & 0b100 or first & 0b1)
    return bool(first & 0b1000 or first & 0b10)


_SHOWN = {"vp8": _vp8_is_shown, "vp9": _vp9_is_shown}
