"""One run of packets decoded, and checked."""

from collections.abc import Iterable
from typing import Any

from data_pipelines.video.decoding import Decoding, Numbered
from data_pipelines.video.gathered import Gathered
from data_pipelines.video.plan import Run
from data_pipelines.video.runs_of_packets import MismatchError


def decode_run(
    decoding: Decoding, packets: Iterable[Numbered], run: Run, gathered: Gathered
) -> None:
    """Decode a run and put the frames that are wanted in their places.

    Raises:
        BadSampleError: see ``Gathered.add``.
        MismatchError: a frame is missing, the start was no key frame, frames came in another
            order than that of their numbers, or a packet could not be decoded.
    """
    checked = _Checked(run, gathered)
    decoding.restart()
    for packet in packets:
        needed = packet.number in run.wanted or packet.number == run.first
        checked.take(decoding.frames(packet, needed=needed))
    checked.take(decoding.rest())
    checked.end()
    if decoding.num_failures:
        raise MismatchError("a packet cannot be decoded")


class _Checked:
    def __init__(self, run: Run, gathered: Gathered) -> None:
        self._run = run
        self._gathered = gathered
        self._is_sound = run.key < 0
        self._latest = -1

    def take(self, frames: Iterable[Any]) -> None:
        for frame in frames:
            if frame.pts == self._run.first:
                self._is_sound = self._is_sound or frame.key_frame
            number = self._run.wanted.get(frame.pts)
            if number is None:
                continue
            if number <= self._latest:
                raise MismatchError("frames are shown in another order")
            self._latest = number
            self._gathered.add(number, frame)

    def end(self) -> None:
        missing = self._gathered.missing.intersection(self._run.wanted.values())
        if missing or not self._is_sound:
            raise MismatchError(f"{len(missing)} frames did not come back")
