"""The least decoding that gives the frames that are asked for."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from data_pipelines.video.table import FrameTable


class Run(NamedTuple):
    """Packets to decode one after the other, from a key frame to the last frame wanted.

    Attributes:
        key: number of the frame to start at.
        first: number of its packet.
        last: number of the last packet.
        wanted: frame number by the number of its packet.
    """

    key: int
    first: int
    last: int
    wanted: dict[int, int]


def plan(table: FrameTable, numbers: Iterable[int]) -> list[Run]:
    """Runs in the order of the file; a new one begins only at a later key frame.

    A frame shown before a key frame but stored behind it belongs to the run before: it may refer
    to frames of both (open groups of pictures).

    Args:
        numbers: of frames, in any order.
    """
    keys = np.flatnonzero(table.keys)
    runs: list[Run] = []
    for number in sorted(set(numbers)):
        place = int(np.searchsorted(keys, number, side="right")) - 1
        key = int(keys[place]) if place >= 0 else -1
        first = int(table.packets[key]) if key >= 0 else 0
        packet = int(table.packets[number])
        if runs and first <= runs[-1].last:
            run = runs.pop()
            runs.append(
                Run(run.key, run.first, max(run.last, packet), run.wanted | {packet: number})
            )
        else:
            runs.append(Run(key, first, packet, {packet: number}))
    return runs
