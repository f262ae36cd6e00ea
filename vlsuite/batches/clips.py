"""Batches of clips with captions: what video encoders are trained on.

A sample is a video with spans, a sequence of pictures, or one picture, which is a clip of one
frame; a batch may hold all of them, and no frame is padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from data_pipelines.schema import Clip, Frames
from data_pipelines.shards.stored_sample import StoredSample
from data_pipelines.video.decoders import DecoderName
from data_pipelines.video.process import shared_process
from data_pipelines.video.sampler import segment_frames
from vlsuite.batches.captioned import CaptionedBatch
from vlsuite.batches.crops import stacked
from vlsuite.batches.curriculum import FrameCurriculum
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.end_of_text import EndOfText
from vlsuite.batches.pictures import JpegPicture, PillowPicture, Pixels, open_picture
from vlsuite.batches.sample_reader import BatchFacts, Read
from vlsuite.batches.tokenizer import CachedTokenizer
from vlsuite.batches.transforms import TrainTransform, pixels_for
from vlsuite.batches.video import decode_video
from vlsuite.errors import BadSampleError


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipBatch(CaptionedBatch):
    """Clip i belongs to row i of token_ids; see also ``CaptionedBatch``.

    Attributes:
        frames: of all clips, one clip after the other, 0 to 255, not normalised.
        num_frames: of each clip.
    """

    frames: UInt8[Tensor, "total_frames 3 height width"]
    num_frames: tuple[int, ...]

    def pixels(
        self, preprocess: dict[str, Any], *, device: torch.device, dtype: torch.dtype
    ) -> Float[Tensor, "total_frames 3 height width"]:
        """The frames on a device, normalised by the mean and std of a model's preprocessing."""
        return pixels_for(self.frames, preprocess, device=device, dtype=dtype)


class Said(NamedTuple):
    """What a clip is trained to go with.

    Attributes:
        text: a caption, or the answer to the question.
        number: of the caption among those of its sample.
        mended: see ``Read``.
        question: that the text answers; empty for a caption.
    """

    text: str
    number: int
    mended: tuple[str, ...] = ()
    question: str = ""


class ClipContent(NamedTuple):
    """One decoded clip, and what goes with it."""

    frames: list[Tensor]
    said: Said
    identity: str | None


class ClipReader:
    """Draws a span, a caption and frames; satisfies ``PlacedReader``.

    A clip is cut into as many equal stretches as it is to have frames, and a frame is drawn from
    each (the segments of TSN, Wang et al. 2016, arXiv 1608.00859). All frames of a clip get the
    same random crop and colours.

    Args:
        transform: makes the training view of a frame.
        tokenizer: captions to ids.
        data: how captions are chosen.
        curriculum: frames of a clip, by the place in the training sequence.
        end_of_text: token ids are cut behind that of the batch's longest caption; None: never.
    """

    def __init__(
        self,
        *,
        transform: TrainTransform,
        tokenizer: CachedTokenizer,
        data: DataConfig,
        curriculum: FrameCurriculum,
        end_of_text: EndOfText | None,
    ) -> None:
        self._transform = transform
        self._tokenizer = tokenizer
        self._draws_caption = data.caption == "random"
        self._decoder: DecoderName = data.video_decoder
        self._curriculum = curriculum
        self._end_of_text = end_of_text if data.trim_text else None

    def at(self, position: int) -> "_ReaderOfFrames":
        """See ``PlacedReader``."""
        return _ReaderOfFrames(self, self._curriculum.at(position))

    def read(self, sample: StoredSample, rng: np.random.Generator) -> Read:
        """See ``SampleReader``; with as many frames as training ends with."""
        return self.read_frames(sample, rng, num_frames=self._curriculum.last)

    def read_frames(
        self, sample: StoredSample, rng: np.random.Generator, *, num_frames: int
    ) -> Read:
        """One clip of a sample.

        Args:
            sample: with a video, frames or a picture.
            rng: see ``SampleReader``.
            num_frames: of a clip; a picture stays one.
        Raises:
            BadSampleError: neither is there, or it cannot be decoded.
        """
        clips = sample.clips
        if clips:
            place = self._pick(len(clips), rng)
            said = self.said(sample, rng, clip=clips[place], place=place)
            pictures = _decoded(clips[place], num_frames, rng, decoder=self._decoder)
        else:
            said = self.said(sample, rng)
            frames = sample.frames
            pictures = (
                [open_picture(sample.image.data)]
                if frames is None
                else _chosen(frames, num_frames, rng)
            )
        views, notes = self._views(pictures, rng)
        return Read(ClipContent(views, said, sample.identity), (*said.mended, *notes))

    def said(
        self,
        sample: StoredSample,
        rng: np.random.Generator,
        *,
        clip: Clip | None = None,
        place: int = 0,
    ) -> Said:
        """The caption of a span that has its own, else one of the sample's captions.

        Args:
            clip: the span that is shown; None: frames or a picture.
            place: of the span among those of the sample.
        Raises:
            BadSampleError: there is none.
        """
        if clip is not None and clip.caption:
            return Said(clip.caption, place)
        captions = sample.captions
        number = self._pick(len(captions.texts), rng)
        return Said(captions.texts[number], sample.first_caption + number, captions.mended)

    def collate(self, contents: Sequence[ClipContent], facts: BatchFacts) -> ClipBatch:
        """See ``SampleReader``."""
        token_ids = self._tokenizer([one.said.text for one in contents])
        if self._end_of_text is not None:
            token_ids = self._end_of_text.cut(token_ids).contiguous()
        return ClipBatch(
            frames=stacked([frame for one in contents for frame in one.frames]),
            num_frames=tuple(len(one.frames) for one in contents),
            token_ids=token_ids,
            caption_numbers=tuple(one.said.number for one in contents),
            identities=tuple(one.identity for one in contents),
            **facts._asdict(),
        )

    def _pick(self, count: int, rng: np.random.Generator) -> int:
        return int(rng.integers(count)) if self._draws_caption else 0

    def _views(
        self, pictures: Sequence[JpegPicture | PillowPicture], rng: np.random.Generator
    ) -> tuple[list[Tensor], tuple[str, ...]]:
        """The same draws for all frames of a clip."""
        key = int(rng.integers(1 << 63))
        views = [
            self._transform.of_picture(picture, np.random.Generator(np.random.Philox(key=key)))
            for picture in pictures
        ]
        return [view.pixels for view in views], tuple(
            dict.fromkeys(note for view in views for note in view.mended)
        )


class _ReaderOfFrames:
    """The reader of one stage of a curriculum."""

    def __init__(self, reader: ClipReader, num_frames: int) -> None:
        self._reader = reader
        self._num_frames = num_frames

    def read(self, sample: StoredSample, rng: np.random.Generator) -> Read:
        """See ``SampleReader``."""
        return self._reader.read_frames(sample, rng, num_frames=self._num_frames)

    def collate(self, contents: Sequence[Any], facts: BatchFacts) -> ClipBatch:
        """See ``SampleReader``."""
        return self._reader.collate(contents, facts)


def _decoded(
    clip: Clip, num_frames: int, rng: np.random.Generator, *, decoder: DecoderName
) -> list[PillowPicture]:
    span = None if not clip.start and clip.end is None else (clip.start, clip.end)
    frames = decode_video(
        clip.data,
        num_frames=num_frames,
        rng=rng,
        seconds=span,
        index=clip.index,
        process=shared_process(decoder),
    )
    return [_picture(frame.permute(1, 2, 0).numpy()) for frame in frames]


def _chosen(
    frames: Frames, num_frames: int, rng: np.random.Generator
) -> list[JpegPicture | PillowPicture]:
    total = len(frames.images) if frames.pixels is None else len(frames.pixels)
    numbers = segment_frames(total, num_frames, rng.random(num_frames).tolist())
    if frames.pixels is not None:
        return [_picture(frames.pixels[number]) for number in numbers]
    opened = [open_picture(frames.images[number].data) for number in numbers]
    sizes = {(picture.width, picture.height) for picture in opened}
    if len(sizes) > 1:
        raise BadSampleError(
            "frames of different sizes", f"{sorted(sizes)[:3]}; store frames of one size"
        )
    return opened


def _picture(pixels: np.ndarray) -> PillowPicture:
    return PillowPicture(pixels=Pixels(pixels, 1, ()))
