"""How frames of one video are got at: by an index, by its packets, or by decoding all of it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from data_pipelines.errors import BadSampleError
from data_pipelines.video.decode_run import decode_run
from data_pipelines.video.decoders import OtherDecoder
from data_pipelines.video.decoding import Decoding
from data_pipelines.video.frame_index import FrameIndex
from data_pipelines.video.gathered import Gathered
from data_pipelines.video.limits import DecodeLimits, Source
from data_pipelines.video.opening import OpenVideo
from data_pipelines.video.packets import guessed_table, read_packets, table_of_packets, tells_order
from data_pipelines.video.picture import Picture
from data_pipelines.video.plan import plan
from data_pipelines.video.runs_of_packets import (
    KeptPackets,
    MismatchError,
    PacketRuns,
    SoughtPackets,
)
from data_pipelines.video.scan import scan
from data_pipelines.video.table import FrameTable


class FrameAccess:
    """The frames of a video and the state of its decoder; see ``VideoReader``.

    Attributes:
        picture: size and position of its frames.
        index: that is in use; None where none is, or it has led elsewhere.
        was_redone: whether anything else than was expected came back, so that frames were
            decoded again in a safer way.
    """

    def __init__(
        self,
        source: Source,
        limits: DecodeLimits,
        *,
        index: FrameIndex | None,
        other: OtherDecoder | None,
    ) -> None:
        self._source = source
        self._limits = limits
        self._other = other
        self._runs: PacketRuns | None = None
        self._is_fresh = False  # whether no packet of the open container was read
        self._known: FrameTable | None = None
        self._guessed: FrameTable | None = None
        self.index = index
        self.picture = Picture(limits)
        self.was_redone = False
        self.video = self._opened()
        if self._known is not None and len(self._known) > limits.max_frames:
            raise BadSampleError("too many frames", f"over {limits.max_frames}")

    @property
    def table(self) -> FrameTable:
        """Of all frames; decodes all of them where nothing else tells."""
        if self._known is None:
            self.from_start([])
        assert self._known is not None
        return self._known

    def first_guess(self) -> FrameTable | None:
        """Where only decoding all tells what frames there are: those that packets suggest."""
        return self._guessed if self._known is None else None

    @property
    def limits(self) -> DecodeLimits:
        """What is refused."""
        return self._limits

    def gathered(self, numbers: Sequence[int]) -> Gathered:
        """By another decoder, the index, the packets, else by decoding from the start.

        Lacks frames that are not there, where the table said otherwise.
        """
        self.picture.make_room(len(numbers))
        for attempt in (self._by_other, self._planned, self._planned_anew):
            try:
                if (found := attempt(numbers)) is not None:
                    return found
            except MismatchError:
                self.was_redone = True
        return self.from_start(numbers)

    def from_start(self, numbers: Sequence[int]) -> Gathered:
        """Decode all of it, count the frames, and keep those that are wanted."""
        self.picture.make_room(len(numbers))
        found = Gathered(numbers, self.picture)
        self._scan(found.add)
        return found

    def _opened(self) -> OpenVideo:
        """By the index, else by a pass over the packets."""
        index = self.index
        if index is not None:
            try:
                video = OpenVideo(self._source, self._limits, probe=index.needs_probe)
            except BadSampleError:
                self.index = None
            else:
                self.picture.know(index)
                self._known, self._is_fresh = index.table, True
                return video
        video = OpenVideo(self._source, self._limits)
        packets = read_packets(video, self._limits)
        self._known = table_of_packets(video, packets)
        if self._known is None:
            self._guessed = guessed_table(video, packets)
        elif packets.kept is not None:
            self._runs = KeptPackets(packets.kept)
        return video

    def _scan(self, on_frame: Callable[[int, Any], None]) -> None:
        """Decode all, from a container opened anew."""
        self.index = self._runs = None
        self.video.close()
        self.video = OpenVideo(self._source, self._limits)
        self._known = scan(self.video, self._limits, on_frame)

    def _by_other(self, numbers: Sequence[int]) -> Gathered | None:
        """By another decoder than PyAV; None where there is none, or no telling what it gives.

        Raises ``MismatchError`` where anything else than expected comes back, as do the next.
        """
        table = self.table
        if self._other is None or not table.is_timed or not tells_order(self.video):
            return None
        found = Gathered(numbers, self.picture)
        for number, pixels in self._other(self._source, sorted(set(numbers)), table).items():
            found.add_pixels(number, pixels)
        return found

    def _planned(self, numbers: Sequence[int]) -> Gathered:
        """By as little decoding as the table allows."""
        table = self.table
        found = Gathered(numbers, self.picture)
        wanted = sorted(number for number in set(numbers) if number < len(table))
        source = self._runs or self._sought()
        decoding = Decoding(self.video)
        for run in plan(table, wanted):
            decode_run(decoding, source.packets(run), run, found)
        return found

    def _planned_anew(self, numbers: Sequence[int]) -> Gathered | None:
        """Without the index, which has led elsewhere; None where there is none."""
        if self.index is None:
            return None
        self.index, self.picture = None, Picture(self._limits)
        self.picture.make_room(len(numbers))
        self.video.close()
        self.video = self._opened()
        return self._planned(numbers)

    def _sought(self) -> PacketRuns:
        if not self._is_fresh:
            self.video.close()
            probe = self.index is None or self.index.needs_probe
            self.video = OpenVideo(self._source, self._limits, probe=probe)
        self._is_fresh = False
        return SoughtPackets(self.video, self.table)


def are_alike(one: FrameTable, other: FrameTable) -> bool:
    """Whether two tables are of the same frames at the same times."""
    return bool(np.array_equal(one.starts, other.starts))
