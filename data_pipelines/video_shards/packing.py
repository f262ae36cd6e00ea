"""How a video is stored: settings, and the making of samples from one video."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from data_pipelines.errors import BadSampleError, ConfigError, DataError
from data_pipelines.schema import VIDEO_SUFFIXES, JsonValue, Sample, make_uid
from data_pipelines.skips import Skips
from data_pipelines.video.frame_index import SUFFIX as INDEX_SUFFIX
from data_pipelines.video.info import VideoInfo
from data_pipelines.video.process import ProcessLimits, SampledClip, VideoProcess
from data_pipelines.video.sampler import Sampler, frames_of_span
from data_pipelines.video_lists.listed import Moment
from data_pipelines.video_shards.cutting import CODING, cut_out
from data_pipelines.video_shards.named import NamedVideo

#: "video": the file as it is, or clips cut out of it. "frames": pictures, decoded once for all.
Store = Literal["video", "frames"]
STORES: tuple[str, ...] = get_args(Store)
#: "frame": a frame of each video is decoded. "index": all of them, and the index of its frames is
#: stored beside it. "none": files are stored unseen.
Probe = Literal["frame", "index", "none"]
PROBES: tuple[str, ...] = get_args(Probe)

#: A video is decoded whole where an index is made.
_SECONDS = 300.0

Span = tuple[float, float | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Packing:
    """How videos are stored.

    Args:
        store: see ``Store``.
        cut: whether a span becomes a clip of its own.
        probe: see ``Probe``.
        frames: pictures of a video or span, for "frames".
        side: shorter side of these in pixels, at most.
        quality: of their JPEG, 1 to 95.
        sampler: how they are chosen.
    """

    store: Store = "video"
    cut: bool = False
    probe: Probe = "frame"
    frames: int = 16
    side: int = 256
    quality: int = 90
    sampler: Sampler = "segments"

    def __post_init__(self) -> None:
        if self.store not in STORES or self.probe not in PROBES:
            raise ConfigError(
                f"--store is {' or '.join(STORES)}, and --probe {' or '.join(PROBES)}; not "
                f"'{self.store}' and '{self.probe}'"
            )
        if self.frames < 1 or self.side < 16 or not 1 <= self.quality <= 95:
            raise ConfigError("take --frames from 1, --side from 16, --quality from 1 to 95")
        if self.cut and self.store == "frames":
            raise ConfigError("--store frames makes a sample of each span already; drop --cut")
        if self.store == "frames" and self.probe != "frame":
            raise ConfigError(f"--store frames stores no video; drop --probe {self.probe}")
        if self.cut and self.probe == "none":
            raise ConfigError("--cut has to decode; drop --probe none")

    def details(self) -> dict[str, JsonValue]:
        """What the manifest says of it."""
        if self.store == "frames":
            return {
                "store": "frames",
                "frames": self.frames,
                "sampler": self.sampler,
                "is_random": False,
                "side": self.side,
                "quality": self.quality,
            }
        cut: dict[str, JsonValue] = {"coding": dict(CODING), "sound": "dropped"} if self.cut else {}
        return {"store": "video", "cut": self.cut, "probe": self.probe, **cut}


class _Opened(NamedTuple):
    """A video whose bytes are there, and what a look at it told."""

    named: NamedVideo
    data: bytes
    info: VideoInfo | None
    index: bytes


class Packer:
    """Makes samples; what cannot be used is counted by reason.

    Args:
        collection: name of the set, part of every uid.
        packing: how videos are stored.
        skips: counts.
    Raises:
        MissingDecoderError: no decoder, where one is needed.
    """

    def __init__(self, collection: str, packing: Packing, skips: Skips) -> None:
        self._collection = collection
        self._packing = packing
        self._skips = skips
        self._process = VideoProcess(ProcessLimits(seconds=_SECONDS))
        if packing.probe != "none":
            self._process.check()

    def __enter__(self) -> "Packer":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.close()

    def samples(self, named: NamedVideo) -> Iterator[Sample]:
        """The samples of one video; none where it cannot be used."""
        try:
            opened = self._opened(named)
        except BadSampleError as error:
            self._skip(error, named)
            return
        except (OSError, DataError) as error:
            self._skips.add("unreadable video file", f"{named.path}: {error}")
            return
        moments = self._usable(opened)
        if self._packing.store == "frames":
            yield from self._packed(opened, moments)
        elif self._packing.cut and moments:
            yield from self._cut(opened, moments)
        else:
            yield from self._whole(opened, moments)

    def _opened(self, named: NamedVideo) -> _Opened:
        if named.path.suffix.lower().removeprefix(".") not in VIDEO_SUFFIXES:
            raise BadSampleError("not a video file", f"none of {', '.join(VIDEO_SUFFIXES)}")
        size = named.path.stat().st_size
        if size > self._process.limits.max_bytes:
            raise BadSampleError("video too large", f"{size:,} bytes")
        data = named.path.read_bytes()
        if not data:
            raise BadSampleError("zero bytes", "the video is empty")
        if self._packing.probe == "none":
            return _Opened(named, data, None, b"")
        index = self._process.make_index(data) if self._packing.probe == "index" else b""
        return _Opened(named, data, self._process.info(data, index=index), index)

    def _usable(self, opened: _Opened) -> tuple[Moment, ...]:
        """The spans in which the video shows something."""
        info, found = opened.info, []
        if info is None:
            return opened.named.moments
        for moment in opened.named.moments:
            try:
                frames_of_span(info.starts, info.duration, (moment.start, moment.end))
            except BadSampleError as error:
                self._skip(BadSampleError("span outside the video", _detail(error)), opened.named)
                continue
            found.append(moment)
        return tuple(found)

    def _whole(self, opened: _Opened, moments: tuple[Moment, ...]) -> Iterator[Sample]:
        named = opened.named
        captions = named.captions or tuple(dict.fromkeys(one.caption for one in moments))
        if not captions:
            if not named.moments:
                self._skips.add("no caption", str(named.path))
            return
        clips: dict[str, JsonValue] = {"clips": [_clip(one) for one in moments]} if moments else {}
        yield Sample(
            uid=make_uid(self._collection, named.key, opened.data),
            image=opened.data,
            image_suffix=named.path.suffix.lower().removeprefix("."),
            captions=captions,
            label=named.label,
            provenance={**self._provenance(opened), **clips},
            members={INDEX_SUFFIX: opened.index} if opened.index else {},
        )

    def _cut(self, opened: _Opened, moments: tuple[Moment, ...]) -> Iterator[Sample]:
        assert opened.info is not None
        for span, captions in _by_span(moments).items():
            try:
                clip = cut_out(self._process, opened.data, opened.info, span, index=opened.index)
                index = self._process.make_index(clip) if opened.index else b""
            except BadSampleError as error:
                self._skip(error, opened.named)
                continue
            yield Sample(
                uid=make_uid(self._collection, _key(opened.named, span), clip),
                image=clip,
                image_suffix="mp4",
                captions=captions,
                label=opened.named.label,
                provenance={**self._provenance(opened), "cut": _times(span)},
                members={INDEX_SUFFIX: index} if index else {},
            )

    def _packed(self, opened: _Opened, moments: tuple[Moment, ...]) -> Iterator[Sample]:
        named = opened.named
        spans: dict[Span | None, tuple[str, ...]] = {**_by_span(moments)}
        if not spans:
            if named.moments:
                return
            spans = {None: named.captions}
        for span, captions in spans.items():
            if not captions:
                self._skips.add("no caption", str(named.path))
                continue
            try:
                clip = self._process.sample(
                    opened.data, self._packing.frames, self._packing.sampler, span=span
                )
            except BadSampleError as error:
                self._skip(error, named)
                continue
            pictures = [_jpeg(pixels, self._packing) for pixels in clip.frames]
            yield Sample(
                uid=make_uid(self._collection, _key(named, span), b"".join(pictures)),
                image=pictures[len(pictures) // 2],
                image_suffix="jpg",
                captions=captions,
                label=named.label,
                provenance={**self._provenance(opened), "frames": _sampled(clip, span)},
                members={f"frame.{place}.jpg": data for place, data in enumerate(pictures)},
            )

    def _provenance(self, opened: _Opened) -> dict[str, JsonValue]:
        """As in other sets of videos, "source" is what clips of one film share."""
        named, info = opened.named, opened.info
        known: dict[str, JsonValue] = {
            "collection": self._collection,
            "key": named.key,
            "source": named.source or named.key,
        }
        if info is None:
            return known
        return {
            **known,
            "video": {
                "frames": info.frames,
                "duration": round(info.duration, 6),
                "fps": round(info.fps, 6),
                "width": info.width,
                "height": info.height,
                "codec": info.codec,
            },
        }

    def _skip(self, error: BadSampleError, named: NamedVideo) -> None:
        self._skips.add(error.kind, f"{named.path}: {_detail(error)}")


def _detail(error: BadSampleError) -> str:
    return str(error).removeprefix(error.kind).removeprefix(": ")


def _by_span(moments: tuple[Moment, ...]) -> dict[Span, tuple[str, ...]]:
    found: dict[Span, tuple[str, ...]] = {}
    for one in moments:
        own = found.setdefault((one.start, one.end), ())
        if one.caption not in own:
            found[one.start, one.end] = (*own, one.caption)
    return found


def _key(named: NamedVideo, span: Span | None) -> str:
    if span is None:
        return named.key
    start, end = span
    return f"{named.key}#{start:.3f}-{'' if end is None else f'{end:.3f}'}"


def _times(span: Span) -> dict[str, JsonValue]:
    return {"start": span[0], "end": span[1]}


def _clip(moment: Moment) -> dict[str, JsonValue]:
    return {"start": moment.start, "end": moment.end, "caption": moment.caption}


def _sampled(clip: SampledClip, span: Span | None) -> dict[str, JsonValue]:
    told: dict[str, JsonValue] = {
        **clip.sampling.to_json(),
        "numbers": list(clip.numbers),
        "seconds": [round(second, 6) for second in clip.seconds],
    }
    return told if span is None else told | _times(span)


def _jpeg(pixels: UInt8[np.ndarray, "height width 3"], packing: Packing) -> bytes:
    """Never enlarged."""
    picture = Image.fromarray(pixels)
    scale = packing.side / min(picture.size)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=packing.quality)
    return stream.getvalue()
