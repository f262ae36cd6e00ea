"""The frames of a video by decoding all of it: slow, and right for every container."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from data_pipelines.errors import BadSampleError
from data_pipelines.video.decoding import Decoding, Numbered, decode_all
from data_pipelines.video.limits import DecodeLimits
from data_pipelines.video.opening import OpenVideo
from data_pipelines.video.packets import NO_TIME, USUAL_RATE, video_packets
from data_pipelines.video.table import FrameTable


def scan(
    video: OpenVideo, limits: DecodeLimits, on_frame: Callable[[int, Any], None] | None = None
) -> FrameTable:
    """Decode a freshly opened video from start to end.

    Args:
        on_frame: called with the number and each frame, in the order in which they are shown.
    Raises:
        BadSampleError: "no frames", "too many frames", "broken video".
    """
    times: list[tuple[int, int, bool, int]] = []

    def numbered() -> Any:
        for number, packet in enumerate(video_packets(video)):
            if number >= limits.max_frames:
                raise BadSampleError("too many frames", f"over {limits.max_frames}")
            pts, dts = packet.pts, packet.dts
            times.append(
                (
                    NO_TIME if pts is None else pts,
                    NO_TIME if dts is None else dts,
                    packet.is_keyframe,
                    packet.duration or 0,
                )
            )
            yield Numbered(number, packet)

    origins: list[tuple[int, bool]] = []
    for number, frame in enumerate(decode_all(Decoding(video), numbered())):
        if number >= limits.max_frames:
            raise BadSampleError("too many frames", f"over {limits.max_frames}")
        origins.append((-1 if frame.pts is None else frame.pts, frame.key_frame))
        if on_frame is not None:
            on_frame(number, frame)
    if not origins:
        raise BadSampleError("no frames", "none can be decoded")
    return _table(video, times, origins)


def _table(
    video: OpenVideo, times: list[tuple[int, int, bool, int]], origins: list[tuple[int, bool]]
) -> FrameTable:
    pts, dts, is_key, durations = (np.array(column) for column in zip(*times, strict=True))
    packets = np.array([packet for packet, _ in origins], dtype=np.int64)
    keys = np.array([key for _, key in origins], dtype=bool)
    is_known = 0 <= packets.min() <= packets.max() < len(times)
    if not is_known or len(np.unique(packets)) < len(packets):
        # The decoder does not say where frames come from: only counting finds them.
        packets, keys = np.full(len(origins), -1), np.zeros(len(origins), dtype=bool)
        return _by_rate(video, packets, keys, num_packets=len(times))
    keys &= is_key[packets].astype(bool)
    shown = pts[packets].astype(np.int64)
    if (shown == NO_TIME).any() or (np.diff(shown) <= 0).any():
        return _by_rate(video, packets, keys, num_packets=len(times))
    moments = dts[packets].astype(np.int64)
    step = int(durations[packets[-1]]) or (int(shown[-1] - shown[-2]) if len(shown) > 1 else 0)
    return FrameTable(
        packets=packets,
        pts=shown,
        keys=keys,
        dts=np.where(moments == NO_TIME, shown, moments),
        end=int(shown[-1]) + step,
        time_base=video.stream.time_base,
        num_packets=len(times),
        is_timed=True,
        is_decoded=True,
    )


def _by_rate(
    video: OpenVideo, packets: np.ndarray, keys: np.ndarray, *, num_packets: int
) -> FrameTable:
    """Times by counting frames, where the container has none or they do not ascend."""
    stream = video.stream
    rate = stream.average_rate or stream.guessed_rate or USUAL_RATE
    numbers = np.arange(len(packets), dtype=np.int64)
    return FrameTable(
        packets=packets,
        pts=numbers,
        keys=keys,
        dts=numbers.copy(),
        end=len(packets),
        time_base=1 / Fraction(rate),
        num_packets=num_packets,
        is_timed=False,
        is_decoded=True,
    )
