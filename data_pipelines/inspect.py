"""What a set of shards holds, in numbers: counts, bytes, picture sizes, caption lengths."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from data_pipelines.detection.looking import BoxCounts, BoxTally, describe_boxes
from data_pipelines.errors import DataError
from data_pipelines.image_formats import open_image
from data_pipelines.inspect_videos import VideoCounts, VideoTally, describe_videos
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import captions_of, image_of, label_of
from data_pipelines.shards.sliced_order import SlicedOrder, choose_window
from data_pipelines.shards.spread import distinct_shards, expected_shards
from data_pipelines.shards.stored_sample import StoredSample
from data_pipelines.texts import counted

#: Samples whose content is read; counts and sizes are of all samples.
DEFAULT_MAX_READ = 20_000

#: Samples of a training batch, where nothing else is asked.
DEFAULT_BATCH = 1024

_BAR = 40  # characters of the longest bar of the histogram


class Spread(NamedTuple):
    """Smallest, median and largest of some numbers."""

    low: int
    median: int
    high: int


class BatchSpread(NamedTuple):
    """Shards that a training batch has samples of, on average: in the order that training takes
    where nothing else is set, and in a full shuffle."""

    batch_size: int
    found: float
    full_shuffle: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """What a set of shards holds.

    Args:
        num_bytes: of the tars.
        members: number and bytes of the members by suffix.
        num_read: samples whose content was read, evenly spaced over all of them.
        formats: images read, by format and colour mode ("PNG RGBA").
        widths: pixels; None where no image could be read.
        heights: pixels.
        captions_per_sample: samples read by their number of captions.
        caption_words: captions by their number of words.
        num_classes: distinct labels among the samples read.
        problems: what could not be read, one line each.
        videos: what is known of videos and frames; None where there are none.
        spread: of a training batch over the shards; None without samples.
        boxes: what is marked in the pictures; None without ``categories.json``.
    """

    num_shards: int
    num_samples: int
    num_bytes: int
    members: dict[str, tuple[int, int]]
    num_read: int
    formats: dict[str, int]
    widths: Spread | None
    heights: Spread | None
    captions_per_sample: dict[int, int]
    caption_words: dict[int, int]
    num_classes: int
    problems: tuple[str, ...]
    videos: VideoCounts | None = None
    spread: BatchSpread | None = None
    boxes: BoxCounts | None = None


def inspect_shards(
    paths: Iterable[str | Path],
    *,
    max_read: int = DEFAULT_MAX_READ,
    batch_size: int = DEFAULT_BATCH,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Inspection:
    """Describe the shards behind ``paths`` (see ``find_shards``).

    Args:
        max_read: samples whose content is read.
        batch_size: of a training run, for its spread over the shards.
    Raises:
        ShardError: a path leads to no shard, or a shard is no tar.
        MissingDecoderError: there are videos that json does not describe, and no decoder.
    """
    indexes = [ShardIndex.open(path) for path in find_shards(paths)]
    members, member_bytes = _count_members(indexes)
    problems = [f"{index.path}: {line}" for index in indexes for line in index.problems]
    formats: Counter[str] = Counter()
    counts: Counter[int] = Counter()
    words: Counter[int] = Counter()
    sizes: list[tuple[int, int]] = []
    labels: set[int] = set()
    videos, boxes = VideoTally(), BoxTally()
    chosen = evenly_spaced(sum(map(len, indexes)), max_read)
    for number in progress(chosen):
        index, i = locate(indexes, number)
        try:
            row = index.read(i)
            label = label_of(row)
            captions = captions_of(row, one_per_line=_one_per_line(index))
            sample = StoredSample(index.key(i), row)
            moving = videos.add(sample)
            kind, size = moving or _header(image_of(row).data)
            boxes.add(sample, index.path.parent)
        except DataError as error:
            problems.append(f"{index.path}: {index.key(i)}: {error}")
            continue
        formats[kind] += 1
        sizes.append(size)
        counts[len(captions)] += 1
        words.update(len(caption.split()) for caption in captions)
        labels.update(() if label is None else (label,))
    return Inspection(
        num_shards=len(indexes),
        num_samples=sum(map(len, indexes)),
        num_bytes=sum(index.path.stat().st_size for index in indexes),
        members={suffix: (n, member_bytes[suffix]) for suffix, n in sorted(members.items())},
        num_read=len(chosen),
        formats=dict(formats.most_common()),
        widths=_spread([width for width, _ in sizes]),
        heights=_spread([height for _, height in sizes]),
        captions_per_sample=dict(sorted(counts.items())),
        caption_words=dict(sorted(words.items())),
        num_classes=len(labels),
        problems=tuple(problems),
        videos=videos.counts,
        spread=batch_spread([len(index) for index in indexes], batch_size),
        boxes=boxes.counts,
    )


def batch_spread(lengths: Sequence[int], batch_size: int) -> BatchSpread | None:
    """How many shards a training batch has samples of; None where there are no samples.

    Args:
        lengths: samples of each shard.
        batch_size: samples; the whole set where that is smaller.
    """
    size = min(batch_size, sum(lengths))
    if not size:
        return None
    order = SlicedOrder(lengths, seed=0, window=choose_window(len(lengths)))
    ends = np.cumsum(lengths)
    found = distinct_shards(
        lambda place: int(np.searchsorted(ends, order(0, place), side="right")),
        num_samples=len(order),
        batch_size=size,
    )
    return BatchSpread(size, found, expected_shards(lengths, size))


def describe(inspection: Inspection) -> str:
    """The inspection as text for a terminal."""
    shards = counted(inspection.num_shards, "shard")
    lines = [
        f"{counted(inspection.num_samples, 'sample')} in {shards}, "
        f"{inspection.num_bytes / 1e6:,.1f} MB"
    ]
    for suffix, (number, size) in inspection.members.items():
        lines.append(f"  .{suffix:<12} {number:>9,} members {size / 1e6:>11,.2f} MB")
    if inspection.num_read < inspection.num_samples:
        lines.append(f"content of {counted(inspection.num_read, 'sample')}, evenly spaced:")
    if inspection.widths and inspection.heights:
        lines.append(f"width   {_listed(inspection.widths)} pixels (smallest, median, largest)")
        lines.append(f"height  {_listed(inspection.heights)} pixels")
    lines += [f"  {kind:<13} {number:>9,}" for kind, number in inspection.formats.items()]
    if inspection.videos:
        lines += describe_videos(inspection.videos)
    if inspection.boxes:
        lines += describe_boxes(inspection.boxes)
    if inspection.num_classes:
        lines.append(f"classes {inspection.num_classes}")
    shown = ", ".join(f"{n} x {count}" for count, n in inspection.captions_per_sample.items())
    lines.append(f"captions a sample (samples x captions): {shown or 'none'}")
    lines += _histogram(inspection.caption_words)
    if inspection.spread:
        size, found, full_shuffle = inspection.spread
        lines.append(
            f"a training batch of {size:,} has samples of {found:,.1f} shards (a full shuffle: "
            f"{full_shuffle:,.1f})"
        )
    if inspection.problems:
        lines.append(f"{len(inspection.problems)} problems, see 'vlsuite data validate':")
        lines += [f"  {problem}" for problem in inspection.problems[:5]]
    return "\n".join(lines)


def evenly_spaced(count: int, wanted: int) -> list[int]:
    """At most ``wanted`` of the numbers 0..count-1, evenly spaced and in order."""
    if count <= wanted:
        return list(range(count))
    return [i * count // wanted for i in range(wanted)]


def locate(indexes: Sequence[ShardIndex], number: int) -> tuple[ShardIndex, int]:
    """Shard and place in it of the sample ``number`` of all shards together."""
    for index in indexes:
        if number < len(index):
            return index, number
        number -= len(index)
    raise IndexError(number)


def read_samples(
    indexes: Sequence[ShardIndex], numbers: Iterable[int]
) -> Iterator[tuple[StoredSample, bool, Path]]:
    """The given samples, whether each line of their txt is a caption, and the folder."""
    for number in numbers:
        index, i = locate(indexes, number)
        try:
            sample = StoredSample(index.key(i), index.read(i))
        except DataError:
            continue
        yield sample, _one_per_line(index), index.path.parent


def _one_per_line(index: ShardIndex) -> bool:
    return (index.path.parent / "nshards.txt").is_file()


def _count_members(indexes: Sequence[ShardIndex]) -> tuple[Counter[str], Counter[str]]:
    numbers: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for index in indexes:
        for i, suffix in enumerate(index.layout.suffixes):
            rows = index.layout.suffix_ids == i
            numbers[suffix] += int(rows.sum())
            sizes[suffix] += int(index.layout.sizes[rows].sum())
    return numbers, sizes


def _header(data: bytes) -> tuple[str, tuple[int, int]]:
    """Format with colour mode, and size in pixels, without decoding the pixels."""
    try:
        with open_image(data) as image:
            return f"{image.format} {image.mode}", image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"unreadable image: {error}") from error


def _spread(numbers: Sequence[int]) -> Spread | None:
    if not numbers:
        return None
    return Spread(min(numbers), int(np.median(numbers)), max(numbers))


def _listed(spread: Spread) -> str:
    return f"{spread.low:>5} {spread.median:>5} {spread.high:>5}"


def _histogram(words: dict[int, int], *, max_rows: int = 16) -> list[str]:
    """Bars of the number of captions by their number of words; the longest share a last row."""
    if not words:
        return []
    rows = [(str(length), n) for length, n in words.items() if length < max_rows]
    rest = sum(n for length, n in words.items() if length >= max_rows)
    rows += [(f"{max_rows}+", rest)] if rest else []
    scale = _BAR / max(n for _, n in rows)
    bars = [f"  {label:>4} {n:>9,} {'#' * round(n * scale)}" for label, n in rows]
    return ["words a caption:", *bars]
