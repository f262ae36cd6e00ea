"""The packets of a run: from memory where they were kept, otherwise by seeking in the file."""

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np

from data_pipelines.video.decoding import Numbered
from data_pipelines.video.opening import OpenVideo
from data_pipelines.video.packets import NO_TIME, video_packets
from data_pipelines.video.plan import Run
from data_pipelines.video.table import FrameTable

#: Containers in which a seek by time reaches the key frame asked for.
_SEEKABLE = {"mov", "matroska", "avi", "flv"}


class MismatchError(Exception):
    """What came back is not what was expected; the video is decoded from its start instead."""


@runtime_checkable
class PacketRuns(Protocol):
    """Gives the packets of runs, in the order of the file."""

    def packets(self, run: Run) -> Iterator[Numbered]:
        """From the first packet of the run to its last.

        Raises:
            MismatchError: they are not there.
        """
        ...


class KeptPackets:
    """Of a video whose packets lie in memory."""

    def __init__(self, kept: list[Any]) -> None:
        self._kept = kept

    def packets(self, run: Run) -> Iterator[Numbered]:
        """See ``PacketRuns``."""
        for number in range(run.first, min(run.last + 1, len(self._kept))):
            yield Numbered(number, self._kept[number])


class SoughtPackets:
    """Of a video that was not read through in this process: each packet's time is checked.

    Args:
        video: opened, no packet read.
        table: of its frames, from elsewhere.
    Raises:
        MismatchError: the table is of another video.
    """

    def __init__(self, video: OpenVideo, table: FrameTable) -> None:
        if table.is_timed and table.time_base != video.stream.time_base:
            raise MismatchError(f"time base {video.stream.time_base}, not {table.time_base}")
        if len(video.stream.index_entries) > table.num_packets:
            raise MismatchError(f"more than {table.num_packets} packets")
        self._video = video
        self._table = table
        self._can_seek = table.is_timed and not _SEEKABLE.isdisjoint(video.format.split(","))
        self._times = np.full(table.num_packets, NO_TIME, dtype=np.int64)
        if table.is_timed:
            self._times[table.packets] = table.pts
        self._stream = enumerate(video_packets(video))

    def packets(self, run: Run) -> Iterator[Numbered]:
        """See ``PacketRuns``."""
        if self._can_seek and run.first > 0:
            yield from self._after_seek(run)
        else:
            yield from self._going_on(run)

    def _going_on(self, run: Run) -> Iterator[Numbered]:
        """Read past what lies before the run."""
        for number, packet in self._stream:
            if number < run.first:
                continue
            yield self._checked(number, packet)
            if number == run.last:
                return
        raise MismatchError(f"the file ends before packet {run.last}")

    def _after_seek(self, run: Run) -> Iterator[Numbered]:
        time, moment = int(self._table.pts[run.key]), int(self._table.dts[run.key])
        number = None
        for place in dict.fromkeys((time, min(time, moment))):
            packets = self._from(place)
            for packet in packets:
                if packet.pts == time and packet.is_keyframe:
                    number = run.first
                    yield self._checked(number, packet)
                    break
                if packet.pts is None or packet.pts > time:
                    break
            if number is not None:
                break
        if number is None:
            raise MismatchError(f"no key frame at {time}")
        while number < run.last:
            packet = next(packets, None)
            if packet is None:
                raise MismatchError(f"the file ends before packet {run.last}")
            number += 1
            yield self._checked(number, packet)

    def _from(self, place: int) -> Iterator[Any]:
        from av.error import FFmpegError

        try:
            self._video.container.seek(place, stream=self._video.stream, backward=True)
        except (FFmpegError, OverflowError) as error:
            raise MismatchError("cannot seek") from error
        return video_packets(self._video)

    def _checked(self, number: int, packet: Any) -> Numbered:
        if number >= len(self._times):
            raise MismatchError("more packets than expected")
        expected = int(self._times[number])
        if expected != NO_TIME and packet.pts is not None and packet.pts != expected:
            raise MismatchError(f"packet {number} is shown at {packet.pts}, not {expected}")
        return Numbered(number, packet)
