"""DiDeMo (Hendricks et al. 2017): ``train_data.json``, ``val_data.json``, ``test_data.json``.

[{"video", "description", "times"}]: times are pairs of pieces of five seconds, counted from 0, the
last one included, as several people chose them.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_pipelines.errors import DataError
from data_pipelines.skips import Skips
from data_pipelines.video_lists.listed import ListedVideo, Moment, grouped, json_of

_PIECE = 5.0  # seconds


def read_didemo(path: Path, skips: Skips) -> Iterator[ListedVideo]:
    """All descriptions of a video, in their order, as one paragraph: what retrieval takes.

    Raises:
        DataError: the list cannot be read.
    """
    for name, said in grouped(
        (name, description) for name, description, _ in _records(path)
    ).items():
        yield ListedVideo(name, (" ".join(said),) if said else (), (), name)


def read_didemo_moments(path: Path, skips: Skips) -> Iterator[ListedVideo]:
    """Each description with the span that most people chose for it, of several the shortest.

    Raises:
        DataError: the list cannot be read.
    """
    found: dict[str, list[Moment]] = {}
    for number, (name, description, times) in enumerate(_records(path)):
        span = _span(times)
        own = found.setdefault(name, [])
        if span is None:
            skips.add("no times", f"{path.name} record {number}")
        elif not description.strip():
            skips.add("empty caption", f"{path.name} record {number}")
        else:
            own.append(Moment(*span, description.strip()))
    for name, moments in found.items():
        yield ListedVideo(name, (), tuple(moments), name)


def _records(path: Path) -> Iterator[tuple[str, str, Any]]:
    data = json_of(path)
    try:
        for one in data:
            yield str(one["video"]), str(one["description"]), one.get("times")
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no list of DiDeMo: {error!r}; check the file") from error


def _span(times: Any) -> tuple[float, float] | None:
    pairs = [pair for pair in times if _is_pair(pair)] if isinstance(times, list) else []
    if not pairs:
        return None
    counted = Counter((first, last) for first, last in pairs)
    (first, last), _ = min(counted.items(), key=lambda i: (-i[1], i[0][1] - i[0][0], i[0]))
    return first * _PIECE, (last + 1) * _PIECE


def _is_pair(pair: Any) -> bool:
    is_two = isinstance(pair, list) and len(pair) == 2
    return is_two and all(type(one) is int for one in pair) and 0 <= pair[0] <= pair[1]
