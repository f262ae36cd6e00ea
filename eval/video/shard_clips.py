"""Clips, captions and questions of our shards, or of anyone's with the same members.

A sample is a video with captions (json or txt), or one caption a span ("clips" of json), or frames
with captions (frame.0.jpg and so on). Questions are made of what json says besides: "options" and
"answer", else "contrast", false sentences; two samples with one "pair" whose captions are each
other's contrast are a pair.
"""

import hashlib
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

from data_pipelines.errors import DataError
from data_pipelines.schema import VIDEO_SUFFIXES, JsonValue
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.manifest import MANIFEST_NAME
from data_pipelines.shards.stored_sample import StoredSample
from eval.data.dataset import EvalDataset
from eval.data.sample_subset import chosen_rows_of, name_with
from eval.video.clip_set import (
    ChoiceQuestion,
    ClipSet,
    EvalClip,
    PairQuestion,
    VideoMember,
    dataset_of,
)
from eval.video.packed import PackedFrames, num_stored


class _Told(NamedTuple):
    """What json says of a whole video besides its captions."""

    kind: str
    contrast: tuple[str, ...]
    options: tuple[str, ...]
    answer: int | None
    pair: str


def open_shards(path: str, subset: Path | None = None) -> EvalDataset:
    """The videos of shards as a data set.

    Args:
        subset: file that chooses the samples that count; None: all.
    Raises:
        ShardError: a shard is missing or no tar.
        DataError: the subset was made for other shards.
        EvaluationError: there is no video in them.
    """
    shards = find_shards([path])
    chosen = [None] * len(shards) if subset is None else chosen_rows_of(shards, subset)
    clips: list[EvalClip] = []
    choices: list[ChoiceQuestion] = []
    twins: dict[str, list[tuple[int, _Told]]] = defaultdict(list)
    left_out: Counter[str] = Counter()
    for shard, rows in zip(shards, chosen, strict=True):
        index = ShardIndex.open(shard)
        for number in range(len(index)) if rows is None else rows.tolist():
            try:
                found, told = _read(index, number)
            except DataError:
                left_out["unreadable sample"] += 1
                continue
            if not found:
                left_out["no video"] += 1
                continue
            if told is not None:
                choices += _choice(len(clips), found[0], told)
                if told.pair:
                    twins[told.pair].append((len(clips), told))
            clips += found
    pairs = tuple(pair for own in twins.values() if (pair := _pair(own, clips)) is not None)
    name, split = _name(Path(path), shards[0])
    found_set = ClipSet(
        name=name if subset is None else name_with(name, subset),
        split=split,
        clips=tuple(clips),
        choices=tuple(choices),
        pairs=pairs,
        left_out=left_out,
    )
    return dataset_of(found_set, shards[0])


def _name(place: Path, first: Path) -> tuple[str, str]:
    """Of the set and its split: a folder inside a collection of ours is a split of that."""
    if place.is_dir() and (place.resolve().parent / MANIFEST_NAME).is_file():
        return place.resolve().parent.name, place.resolve().name
    return (place.resolve().stem if place.exists() else first.resolve().parent.name), "all"


def _read(index: ShardIndex, number: int) -> tuple[list[EvalClip], _Told | None]:
    """The clips of a sample, and what is told of it where it is one whole video.

    Raises:
        DataError: its json or its captions cannot be read.
    """
    members = index.read(number)
    sample = StoredSample(index.key(number), members)
    stored = sample.clips
    if not stored:
        return _packed(index, number, sample)
    first = stored[0]
    suffix = next(suffix for suffix in VIDEO_SUFFIXES if suffix in members)
    source = VideoMember(index, number, suffix, hashlib.sha256(members[suffix]).digest())
    fields = sample.fields
    pair = _text(fields.get("pair"))
    cluster = pair or _text(fields.get("source")) or sample.uid
    if len(stored) > 1 or any(clip.caption for clip in stored) or first.end is not None:
        spans = [
            EvalClip(
                f"{sample.uid}/{i}",
                source,
                (clip.caption,) if clip.caption else (),
                (clip.start, clip.end),
                cluster,
            )
            for i, clip in enumerate(stored)
        ]
        return spans, None
    captions = sample.plain_captions(one_per_line=False)
    return [EvalClip(sample.uid, source, captions, None, cluster)], _told(fields)


def _packed(
    index: ShardIndex, number: int, sample: StoredSample
) -> tuple[list[EvalClip], _Told | None]:
    """The clip of a sample of frames; none of one that has neither video nor frames."""
    frames = sample.frames
    if frames is None:
        return [], None
    digest = hashlib.sha256(b"frames")
    for data in (image.data for image in frames.images):
        digest.update(len(data).to_bytes(8, "little") + data)
    if frames.pixels is not None:
        digest.update(str(frames.pixels.shape).encode() + frames.pixels.tobytes())
    source = PackedFrames(index, number, digest.digest(), num_stored(frames))
    fields = sample.fields
    cluster = _text(fields.get("pair")) or _text(fields.get("source")) or sample.uid
    captions = sample.plain_captions(one_per_line=False)
    return [EvalClip(sample.uid, source, captions, None, cluster)], _told(fields)


def _told(fields: dict[str, JsonValue]) -> _Told:
    answer = fields.get("answer")
    return _Told(
        _text(fields.get("kind")),
        _texts(fields.get("contrast")),
        _texts(fields.get("options")),
        answer if isinstance(answer, int) and not isinstance(answer, bool) else None,
        _text(fields.get("pair")),
    )


def _choice(number: int, clip: EvalClip, told: _Told) -> list[ChoiceQuestion]:
    options = told.options
    if told.answer is not None and len(options) > 1 and told.answer in range(len(options)):
        return [ChoiceQuestion(told.kind, number, options, told.answer)]
    if clip.captions and told.contrast:
        # Of several wordings the first is asked.
        return [ChoiceQuestion(told.kind, number, (clip.captions[0], told.contrast[0]), 0)]
    return []


def _pair(own: list[tuple[int, _Told]], clips: list[EvalClip]) -> PairQuestion | None:
    if len(own) != 2:
        return None
    (first, told), (second, other) = own
    captions = [clips[number].captions[:1] for number in (first, second)]
    if captions != [other.contrast[:1], told.contrast[:1]] or not all(captions):
        return None
    return PairQuestion((told.kind,), (first, second), (captions[0][0], captions[1][0]))


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: JsonValue) -> tuple[str, ...]:
    """A text, or the texts of a list."""
    listed = value if isinstance(value, list) else [value]
    return tuple(one.strip() for one in listed if isinstance(one, str) and one.strip())
