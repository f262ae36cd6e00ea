"""STORM with a language model as evaluations see it: it answers about clips and describes them."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from einops import rearrange
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from data_pipelines.texts import listed
from vlsuite.batches.transforms import channels, eval_transform
from vlsuite.batches.worded_questions import plain
from vlsuite.models.identity import identity, tokenizer_identity
from vlsuite.models.storm.reduction import Reduction
from vlsuite.models.storm.writer import StormWriter
from vlsuite.models.video_text.clip_pixels import frames_of

#: Frames of several clips that go through together at most; a longer clip goes alone.
_FRAMES_AT_ONCE = 256


class StormAnswerer:
    """Satisfies ``ClipAnswerer``, ``Captioner``, ``Answerer``, ``ReducibleModel`` of eval.contract.

    A picture is a clip of one frame; a caption is what is written without a question.

    Args:
        name: shown in results.
        writer: the model.
        preprocess: of pictures.
        clip_frames: that a clip is shown with by default.
        device: where the weights are.
        dtype: of the weights.
    """

    def __init__(
        self,
        name: str,
        writer: StormWriter,
        *,
        preprocess: Mapping[str, Any],
        clip_frames: int,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.name = name
        self.clip_frames = clip_frames
        self.image_transform: Callable[[Image.Image], Tensor] = eval_transform(dict(preprocess))
        self.device = device
        self._writer, self._dtype, self._preprocess = writer, dtype, dict(preprocess)
        self._mean = channels(preprocess["mean"], device)
        self._std = channels(preprocess["std"], device)
        self._reduction = writer.visual.reduction
        self._fingerprint = ""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that answers depend on; see ``vlsuite.models.identity``."""
        if not self._fingerprint:
            self._fingerprint = identity(
                writer=self._writer,
                reduction=self._reduction,
                tokenizer=tokenizer_identity(self._writer.texts.tokenizer, self._writer.texts),
                preprocess=self._preprocess,
                dtype=str(self._dtype),
            )
        return self._fingerprint

    def tokens_of(self, num_frames: int) -> int:
        """Tokens that the language model reads of a clip of that many frames."""
        return self._writer.visual.tokens_of(num_frames, self._reduction)

    def reduced(
        self,
        *,
        sample_every: int | None = None,
        temporal_pool: int | None = None,
        spatial_pool: int | None = None,
    ) -> "StormAnswerer":
        """The same weights with another reduction; what is None stays.

        Raises:
            ConfigError: a number below 1.
        """
        view = copy.copy(self)
        view._fingerprint = ""
        view._reduction = self._reduction.changed(
            sample_every=sample_every, temporal_pool=temporal_pool, spatial_pool=spatial_pool
        )
        return view

    @property
    def reduction(self) -> Reduction:
        """Of the tokens of a clip."""
        return self._reduction

    def answer_clips(
        self,
        clips: UInt8[Tensor, "batch frames 3 height width"],
        questions: list[str],
        *,
        max_tokens: int,
    ) -> list[str]:
        """See ``ClipAnswerer``; questions are asked as they stand.

        Raises:
            ConfigError: clips of another shape, or too long for the language model.
        """
        return self._written(clips, listed(questions), max_tokens=max_tokens, num_beams=1)

    def answer(
        self,
        images: UInt8[Tensor, "batch 3 height width"],
        questions: list[str],
        *,
        max_tokens: int,
    ) -> list[str]:
        """See ``Answerer``; asked as questions are in training."""
        clips = rearrange(images, "b c h w -> b 1 c h w")
        asked = [plain(question) for question in listed(questions)]
        return self._written(clips, asked, max_tokens=max_tokens, num_beams=1)

    def caption(
        self,
        images: UInt8[Tensor, "batch 3 height width"],
        *,
        prompts: Sequence[str] | None = None,
        max_tokens: int,
        num_beams: int = 1,
    ) -> list[str]:
        """See ``Captioner``; a prompt stands where a question would."""
        clips = rearrange(images, "b c h w -> b 1 c h w")
        asked = [""] * len(clips) if prompts is None else listed(prompts)
        return self._written(clips, asked, max_tokens=max_tokens, num_beams=num_beams)

    def caption_clips(
        self,
        clips: UInt8[Tensor, "batch frames 3 height width"],
        *,
        max_tokens: int,
        num_beams: int = 1,
    ) -> list[str]:
        """What is said of each clip without a question."""
        asked = [""] * len(clips)
        return self._written(clips, asked, max_tokens=max_tokens, num_beams=num_beams)

    def _written(
        self, clips: Tensor, questions: Sequence[str], *, max_tokens: int, num_beams: int
    ) -> list[str]:
        if len(questions) != len(clips):
            raise ValueError(f"{len(questions)} questions about {len(clips)} clips")
        at_once = max(1, _FRAMES_AT_ONCE // max(1, clips.shape[1]))
        texts: list[str] = []
        for first in range(0, len(clips), at_once):
            own = clips[first : first + at_once]
            frames = frames_of(
                own,
                name=self.name,
                size=self._preprocess["size"],
                mean=self._mean,
                std=self._std,
                device=self.device,
                dtype=self._dtype,
            )
            texts += self._writer.write(
                frames,
                questions[first : first + at_once],
                num_frames=(own.shape[1],) * len(own),
                max_tokens=max_tokens,
                num_beams=num_beams,
                reduction=self._reduction,
            )
        return texts
