"""Videos and sequences of frames in a set of shards, in numbers."""

from typing import Any, NamedTuple

import numpy as np

from data_pipelines.errors import DataError
from data_pipelines.images import check_image
from data_pipelines.schema import Clip, Frames, JsonValue
from data_pipelines.shards.stored_sample import StoredSample
from data_pipelines.video.process import shared_process


class Range(NamedTuple):
    """Smallest, median and largest of some numbers."""

    low: float
    median: float
    high: float


class VideoCounts(NamedTuple):
    """What is known of the videos among the samples read.

    Attributes:
        videos: how many.
        clips: spans of them that are samples of training; a video without spans counts one.
        sequences: samples stored as pictures.
        seconds: of a clip; None where there is no video.
        rates: mean frames a second of a video.
        frames: of a video, or pictures of a sequence.
        indexed: videos with an index of their frames.
    """

    videos: int
    clips: int
    sequences: int
    seconds: Range | None
    rates: Range | None
    frames: Range | None
    indexed: int


class Seen(NamedTuple):
    """Kind and size in pixels of one sample."""

    kind: str
    size: tuple[int, int]


class VideoTally:
    """Counts samples one by one."""

    def __init__(self) -> None:
        self._videos = self._clips = self._sequences = self._indexed = 0
        self._seconds: list[float] = []
        self._rates: list[float] = []
        self._frames: list[float] = []

    def add(self, sample: StoredSample) -> Seen | None:
        """Count a sample; None where it has neither a video nor frames.

        Raises:
            DataError: it cannot be read.
            MissingDecoderError: its json does not describe the video, and there is no decoder.
        """
        clips = sample.clips
        if clips:
            return self._add_video(clips, sample.fields.get("video"))
        frames = sample.frames
        return None if frames is None else self._add_frames(frames)

    @property
    def counts(self) -> VideoCounts | None:
        """None where no sample had any."""
        if not self._videos + self._sequences:
            return None
        return VideoCounts(
            videos=self._videos,
            clips=self._clips,
            sequences=self._sequences,
            seconds=_range(self._seconds),
            rates=_range(self._rates),
            frames=_range(self._frames),
            indexed=self._indexed,
        )

    def _add_video(self, clips: tuple[Clip, ...], told: JsonValue) -> Seen:
        first = clips[0]
        facts = told if isinstance(told, dict) and _is_described(told) else _probed(first)
        duration = float(facts["duration"])
        self._videos += 1
        self._clips += len(clips)
        self._indexed += bool(first.index)
        self._seconds += [(min(duration, one.end or duration)) - one.start for one in clips]
        self._rates.append(float(facts["fps"]))
        self._frames.append(float(facts["frames"]))
        kind = f"{first.suffix.upper()} {facts.get('codec', '')}".strip()
        return Seen(kind, (int(facts["width"]), int(facts["height"])))

    def _add_frames(self, frames: Frames) -> Seen:
        self._sequences += 1
        if frames.pixels is not None:
            count, height, width, _ = frames.pixels.shape
            self._frames.append(float(count))
            return Seen("frames.npy", (width, height))
        self._frames.append(float(len(frames.images)))
        info = check_image(frames.images[0].data)
        return Seen(f"frames {info.format}", (info.width, info.height))


def describe_videos(counts: VideoCounts) -> list[str]:
    """Lines for a terminal."""
    lines = []
    if counts.videos:
        indexed = f", {counts.indexed:,} with an index of frames" if counts.indexed else ""
        lines.append(f"videos {counts.videos:,}, clips {counts.clips:,}{indexed}")
    if counts.sequences:
        lines.append(f"sequences of frames {counts.sequences:,}")
    shown = (
        ("seconds a clip", counts.seconds),
        ("frames a second", counts.rates),
        ("frames", counts.frames),
    )
    for name, numbers in shown:
        if numbers is not None:
            low, median, high = (f"{number:.6g}" for number in numbers)
            lines.append(f"  {name:<15} {low:>8} {median:>8} {high:>8} (smallest, median, largest)")
    return lines


def _is_described(told: dict[str, Any]) -> bool:
    names = ("duration", "fps", "frames", "width", "height")
    return all(type(told.get(name)) in (int, float) for name in names)


def _probed(clip: Clip) -> dict[str, Any]:
    try:
        info = shared_process().info(clip.data, index=clip.index)
    except DataError as error:
        raise DataError(f"unreadable video: {error}") from error
    return {name: getattr(info, name) for name in info.__dataclass_fields__ if name != "starts"}


def _range(numbers: list[float]) -> Range | None:
    if not numbers:
        return None
    return Range(min(numbers), float(np.median(numbers)), max(numbers))
