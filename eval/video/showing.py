"""Two ways of asking: models of ours see pixels, models that are sent messages see pictures."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import UInt8
from torch import Tensor

from data_pipelines.schema import JsonValue
from data_pipelines.video.sampler import FrameSampling
from eval.contract import ClipAnswerer, Model
from eval.errors import EvaluationError, UnansweredError
from eval.respondents.contract import FrameRespondent
from eval.respondents.question import Prompted
from eval.respondents.response import Response
from eval.video.asking_options import AskingOptions
from eval.video.clip_set import EvalClip
from eval.video.cost import CostMeter
from eval.video.decoding import as_pixels
from eval.video.options import VideoOptions
from eval.video.shown_frames import as_jpegs, from_start, joined
from eval.video.whole_clips import ClipDecoder
from eval.video.wording import FRAMES_BEFORE, Worded

#: Frames of a clip for models that do not say how many they take.
USUAL_FRAMES = 8

#: What the costs of the model stand under.
MODEL = ""

#: Of questions about videos, in logs of what is sent.
_SETTING = "video"

Shown = TypeVar("Shown")


@runtime_checkable
class Asker(Protocol):
    """Puts questions to one model."""

    def ask(
        self,
        questions: Sequence[Worded],
        clips: Mapping[int, EvalClip],
        decoder: ClipDecoder,
        meter: CostMeter,
    ) -> list[Response]:
        """One response a question, its index the place in ``questions``.

        Args:
            clips: those that are asked about, by number.
            meter: told what decoding takes and, where the model runs here, what it takes.
        Raises:
            UnansweredError: nothing can be asked, or a question is left without an answer.
            MissingDecoderError: this machine cannot read videos.
        """
        ...

    def told(self) -> dict[str, JsonValue]:
        """What answers depend on besides model, questions and sampling; stored with results."""
        ...


def asker_of(
    model: Model, sampling: FrameSampling, options: AskingOptions, video: VideoOptions
) -> Asker:
    """How this model is asked.

    Raises:
        EvaluationError: it answers no questions about videos.
    """
    if isinstance(model, ClipAnswerer):
        return _OfPixels(model, sampling, options.max_tokens, video.batch_size)
    if isinstance(model, FrameRespondent):
        return _OfPictures(model, sampling, options)
    raise EvaluationError(f"model {model.name} answers no questions about videos")


def frames_of(model: Model) -> int:
    """Frames that the model is shown a clip with by default."""
    return model.clip_frames if isinstance(model, ClipAnswerer) else USUAL_FRAMES


class _OfPixels:
    """A ``ClipAnswerer``; of two clips it sees one, a black frame between them."""

    def __init__(
        self, model: ClipAnswerer, sampling: FrameSampling, max_tokens: int, batch_size: int
    ) -> None:
        self._model, self._sampling = model, sampling
        self._max_tokens, self._batch_size = max_tokens, batch_size

    def told(self) -> dict[str, JsonValue]:
        """See ``Asker``."""
        return {"max_tokens": self._max_tokens}

    def ask(
        self,
        questions: Sequence[Worded],
        clips: Mapping[int, EvalClip],
        decoder: ClipDecoder,
        meter: CostMeter,
    ) -> list[Response]:
        """See ``Asker``."""
        make = partial(as_pixels, transform=self._model.image_transform, sampling=self._sampling)
        made = decoder.each(clips.values(), self._sampling, make)
        shown = _whole(questions, dict(zip(clips, _timed(made, meter), strict=True)))
        responses = [_broken(place) for place in range(len(questions))]
        by_length: dict[int, list[int]] = defaultdict(list)
        for place in shown:
            by_length[len(questions[place].clips)].append(place)
        for places in by_length.values():
            for start in range(0, len(places), self._batch_size):
                batch = places[start : start + self._batch_size]
                joined_clips = [_with_black(shown[place]) for place in batch]
                with meter.embedding(MODEL, sum(len(shown[place]) for place in batch)):
                    texts = self._written(joined_clips, [questions[place].text for place in batch])
                for place, text in zip(batch, texts, strict=True):
                    responses[place] = Response(index=place, setting=_SETTING, text=text)
        return responses

    def _written(
        self, clips: Sequence[UInt8[Tensor, "frames 3 height width"]], texts: list[str]
    ) -> list[str]:
        with torch.no_grad():
            pixels = torch.stack(list(clips)).to(self._model.device)
            own = self._model.answer_clips(pixels, texts, max_tokens=self._max_tokens)
        if len(own) != len(texts):
            raise EvaluationError(
                f"model {self._model.name} gives {len(own)} answers to {len(texts)} questions; "
                "it must give one each"
            )
        return own


class _OfPictures:
    """A ``FrameRespondent``: frames as JPEG, each after its time."""

    def __init__(
        self, model: FrameRespondent, sampling: FrameSampling, options: AskingOptions
    ) -> None:
        self._model, self._sampling, self._options = model, sampling, options

    def told(self) -> dict[str, JsonValue]:
        """See ``Asker``."""
        return {
            "max_tokens": self._options.max_tokens,
            "frame_side": self._model.frame_side,
            "jpeg_quality": self._options.quality,
            "frames_before": FRAMES_BEFORE,
        }

    def ask(
        self,
        questions: Sequence[Worded],
        clips: Mapping[int, EvalClip],
        decoder: ClipDecoder,
        meter: CostMeter,
    ) -> list[Response]:
        """See ``Asker``."""
        side, quality = self._model.frame_side, self._options.quality
        made = decoder.each(
            clips.values(), self._sampling, partial(as_jpegs, side=side, quality=quality)
        )
        frames = {
            number: None if own is None else from_start(own, clip)
            for (number, clip), own in zip(clips.items(), _timed(made, meter), strict=True)
        }
        shown = _whole(questions, frames)
        prompted = [
            Prompted(
                index=place,
                setting=_SETTING,
                text=f"{FRAMES_BEFORE}\n{questions[place].text}",
                frames=joined(own),
            )
            for place, own in shown.items()
        ]
        try:
            written = self._model.write(prompted, max_tokens=self._options.max_tokens, num_beams=1)
            found = {response.index: response for response in written} if prompted else {}
        except EvaluationError as error:
            raise UnansweredError(str(error)) from error
        missing = [found.get(p.index) for p in prompted]
        failed = [r for r in missing if r is None or r.kind == "failed"]
        if failed:
            reason = failed[0].error if failed[0] else "no response"
            raise UnansweredError(
                f"{self._model.name} leaves {len(failed)} of {len(prompted)} questions without an "
                f"answer ({reason}); run the same command again, the others are kept"
            )
        return [found.get(place) or _broken(place) for place in range(len(questions))]


def _timed(made: Iterable[tuple[Shown | None, float]], meter: CostMeter) -> Iterator[Shown | None]:
    for own, seconds in made:
        meter.decoded(seconds)
        yield own


def _whole(questions: Sequence[Worded], made: Mapping[int, Shown | None]) -> dict[int, list[Shown]]:
    """What each question shows, by its place; without those a clip of which is broken."""
    shown: dict[int, list[Shown]] = {}
    for place, question in enumerate(questions):
        own = [one for number in question.clips if (one := made[number]) is not None]
        if len(own) == len(question.clips):
            shown[place] = own
    return shown


def _with_black(
    clips: Sequence[UInt8[Tensor, "frames 3 height width"]],
) -> UInt8[Tensor, "all_frames 3 height width"]:
    pieces = [clips[0]]
    for clip in clips[1:]:
        pieces += [torch.zeros_like(clip[:1]), clip]
    return torch.cat(pieces)


def _broken(place: int) -> Response:
    return Response(
        index=place, setting=_SETTING, error="the video cannot be decoded", kind="media"
    )
