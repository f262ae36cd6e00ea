"""Which frames of a video stand for it, chosen by a named rule that results can carry."""

import itertools
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float64

from data_pipelines.errors import BadSampleError, ConfigError
from data_pipelines.video.info import VideoInfo

#: "segments": one frame of each of equal stretches of frames, drawn, or the middle one (Wang et
#: al. 2016, TSN, arXiv 1608.00859, section 3.1, cut as Frozen in Time, arXiv 2104.00650, cuts).
#: "mirrored": the middles of "segments", taken so that a video played backwards gives the same
#: frames in the other order (but for the middle one of an odd number): for questions of order.
#: "uniform": evenly spaced frame numbers, the first and the last among them.
#: "time": the frame shown in each of equal stretches of seconds, at a drawn moment or the middle
#: one: the same as "segments" but where the frame rate varies.
Sampler = Literal["segments", "mirrored", "uniform", "time"]
SAMPLERS: tuple[str, ...] = get_args(Sampler)

_CLOCK = 1e-3  # seconds; some containers count in whole milliseconds


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameSampling:
    """How frames were chosen; stored with every result that rests on them.

    Attributes:
        sampler: see ``Sampler``.
        num_frames: of each video.
        is_random: drawn, as in training; False: centred, as in evaluation.
    """

    sampler: Sampler = "segments"
    num_frames: int = 8
    is_random: bool = False

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise ConfigError(f"no frame sampler '{self.sampler}'; choose {', '.join(SAMPLERS)}")
        if self.num_frames < 1:
            raise ConfigError(f"num_frames is {self.num_frames}; take at least 1")
        if self.sampler in ("mirrored", "uniform") and self.is_random:
            raise ConfigError(
                f"the sampler '{self.sampler}' draws nothing; choose 'segments' or 'time'"
            )

    def to_json(self) -> dict[str, str | int | bool]:
        """Plain values, ready for ``json.dumps``."""
        return asdict(self)


class SampledFrames(NamedTuple):
    """Frame numbers in order of time, repeated where there are too few, and the rule."""

    numbers: list[int]
    sampling: FrameSampling


def sample_frames(
    info: VideoInfo,
    num_frames: int,
    sampler: Sampler = "segments",
    span: tuple[float, float | None] | None = None,
    generator: np.random.Generator | None = None,
) -> SampledFrames:
    """Choose frames of a video or of a part of it.

    Args:
        num_frames: at least 1.
        sampler: see ``Sampler``.
        span: start and end in seconds from the first frame; the end may be None. None is all.
        generator: draws ``num_frames`` numbers; None takes the middles.
    Raises:
        BadSampleError: "no frames" in the span.
        ConfigError: no such sampler, or a number below 1.
    """
    sampling = FrameSampling(
        sampler=sampler, num_frames=num_frames, is_random=generator is not None
    )
    draws = None if generator is None else generator.random(num_frames).tolist()
    numbers = choose_frames(info.starts, info.duration, sampling, span=span, draws=draws)
    return SampledFrames(numbers, sampling)


def choose_frames(
    starts: Float64[np.ndarray, " frames"],
    duration: float,
    sampling: FrameSampling,
    *,
    span: tuple[float, float | None] | None = None,
    draws: list[float] | None = None,
) -> list[int]:
    """As :func:`sample_frames`, from times and places in [0, 1) alone.

    Raises:
        BadSampleError: "no frames" in the span.
    """
    first, after = frames_of_span(starts, duration, span)
    if sampling.sampler == "time":
        return _by_time(starts, duration, span, sampling.num_frames, draws)
    if sampling.sampler == "uniform":
        places = np.linspace(first, after - 1, num=sampling.num_frames)
        return np.floor(places + 0.5).astype(int).tolist()
    if sampling.sampler == "mirrored":
        return [first + number for number in mirrored_frames(after - first, sampling.num_frames)]
    return [first + number for number in segment_frames(after - first, sampling.num_frames, draws)]


def segment_frames(total: int, num_frames: int, draws: list[float] | None = None) -> list[int]:
    """One frame of each of equal stretches of ``total`` frames.

    A video with fewer frames than stretches repeats frames; Frozen in Time pads with black ones
    instead, and never draws the last frame of a stretch.

    Args:
        total: at least 1.
        draws: for each stretch a place in [0, 1); None: the middles.
    """
    bounds = np.linspace(0, total, num=num_frames + 1).astype(int).tolist()
    numbers = []
    for i, (first, after) in enumerate(itertools.pairwise(bounds)):
        last = max(first, after - 1)
        middle = (first + last) // 2
        numbers.append(middle if draws is None else first + int(draws[i] * (last - first + 1)))
    return [min(number, total - 1) for number in numbers]


def mirrored_frames(total: int, num_frames: int) -> list[int]:
    """The middles of ``segment_frames`` in the first half, and their mirror images in the second.

    Args:
        total: at least 1.
    """
    middles = segment_frames(total, num_frames)
    mirrored = [total - 1 - number for number in reversed(middles)]
    half = (num_frames + 1) // 2
    return middles[:half] + mirrored[half:]


def frames_of_span(
    starts: Float64[np.ndarray, " frames"],
    duration: float,
    span: tuple[float, float | None] | None,
) -> tuple[int, int]:
    """First frame of a span of seconds, and the one after its last.

    The first is the one that is shown at the begin: by its time stamp, for the average rate would
    give another wherever frames were dropped.

    Raises:
        BadSampleError: "no frames": none is shown then.
    """
    total = len(starts)
    if span is None:
        return 0, total
    start, end = _checked(span)
    first = int(np.searchsorted(starts, start + _CLOCK, side="right")) - 1
    last = total if end is None else int(np.searchsorted(starts, end - _CLOCK, side="left"))
    if last <= max(first, 0) or start >= duration:
        until = "its end" if end is None else f"{end} s"
        raise BadSampleError("no frames", f"none between {start} s and {until} of {duration:.2f} s")
    return max(first, 0), last


def frame_at(starts: Float64[np.ndarray, " frames"], seconds: float) -> int:
    """The frame that is shown at a moment; the first or last one beyond the ends."""
    return max(0, int(np.searchsorted(starts, seconds + 1e-9, side="right")) - 1)


def _by_time(
    starts: Float64[np.ndarray, " frames"],
    duration: float,
    span: tuple[float, float | None] | None,
    num_frames: int,
    draws: list[float] | None,
) -> list[int]:
    start, end = (0.0, None) if span is None else span
    length = min(duration, duration if end is None else end) - start
    places = [0.5] * num_frames if draws is None else draws
    moments = [start + length * (i + place) / num_frames for i, place in enumerate(places)]
    return [frame_at(starts, moment) for moment in moments]


def _checked(span: tuple[float, float | None]) -> tuple[float, float | None]:
    start, end = span
    if not (np.isfinite(start) and start >= 0) or (end is not None and not start < end < np.inf):
        raise BadSampleError("no frames", f"a span from {start} s to {end} s is none")
    return start, end
