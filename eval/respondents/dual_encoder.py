"""A baseline that reads no question and writes no answer: embeddings of a CLIP and a sound model.

score(option) = w_image z(cos(T_clip(option), picture)) + w_audio z(cos(T_audio(option), sound))
+ w_text z(S(option, text)), one term for every modality that the setting shows, the last for each
text that stands for one. z is over the options of the question (mean 0, spread 1; no spread: 0).
The weights are fixed beforehand, for there is nothing to fit them on. S is the cosine of a text
tower, or of a sentence encoder; of a text with several sentences the best one counts. The formula
is the project's; contrastive models and z-scores are old.

``question`` says whether the question's words stand before each option: "fits" puts them there
where question and options are within the text tower's context, so that no option is cut off.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from data_pipelines.errors import DataError
from eval.contract import EmbeddingModel
from eval.errors import EvaluationError
from eval.hub.similarity import fingerprint_of
from eval.respondents.question import Media, Prompted
from eval.respondents.response import Response
from eval.respondents.sound_models import (
    SoundModel,
    SpectrogramClip,
    embedded_picture,
    load_sound_model,
)
from vlsuite.models.opening import openers

PREFIX = "dual:"

#: What of a question is looked at: all that the setting shows, one part of it, or options alone.
Part = Literal["fused", "image", "audio", "text", "options"]
PARTS: tuple[Part, ...] = get_args(Part)

_SENTENCES = re.compile(r"(?<=[.!?。])\s+|\n+")
_MOST_SENTENCES = 64


@runtime_checkable
class TextSimilarity(Protocol):
    """Similarity of texts to texts."""

    def matrix(self, first: Sequence[str], second: Sequence[str]) -> np.ndarray:
        """Of each of the first to each of the second."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class DualConfig:
    """How the parts are put together.

    Attributes:
        image_weight, audio_weight, text_weight: of the three kinds of term, not negative.
        question: "never", "fits" or "always": whether the question stands before each option.
        part: which terms count.
    """

    image_weight: float = 1.0
    audio_weight: float = 1.0
    text_weight: float = 1.0
    question: Literal["never", "fits", "always"] = "fits"
    part: Part = "fused"

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise EvaluationError(f"part '{self.part}' is none of {', '.join(PARTS)}")
        if self.question not in ("never", "fits", "always"):
            raise EvaluationError(f"question '{self.question}' is none of never, fits, always")
        if min(self.image_weight, self.audio_weight, self.text_weight) < 0:
            raise EvaluationError("weights of the dual encoder must not be negative")


class DualEncoder:
    """Scores options by cosines; satisfies ``Respondent``.

    Args:
        image_model: any CLIP.
        sound_model: hears; None scores what is shown without it.
        sentences: similarity of texts; None takes the text towers, the CLIP's for a description of
            the picture and the sound model's for a transcript.
        config: how the terms are put together.
        name: what results call it; None puts it together from the models.
    """

    def __init__(
        self,
        image_model: EmbeddingModel,
        sound_model: SoundModel | None = None,
        *,
        sentences: TextSimilarity | None = None,
        sentences_name: str = "",
        config: DualConfig | None = None,
    ) -> None:
        self.config = config or DualConfig()
        self._image_model = image_model
        self._sound_model = sound_model
        self._sentences = sentences
        self._sentences_name = sentences_name
        self._media: dict[bytes, Tensor] = {}
        self._texts: dict[tuple[int, str], Tensor] = {}
        self._fingerprint = ""

    @property
    def device(self) -> torch.device | str:
        """Of the CLIP."""
        return self._image_model.device

    @property
    def name(self) -> str:
        """The models by name."""
        parts = [self._image_model.name]
        parts += [self._sound_model.name] if self._sound_model else []
        parts += [self._sentences_name] if self._sentences_name else []
        suffix = "" if self.config.part == "fused" else f" ({self.config.part})"
        return PREFIX + "+".join(parts) + suffix

    @property
    def fingerprint(self) -> str:
        """Over the models and the weights of the terms."""
        if not self._fingerprint:
            told = {
                "image": self._image_model.fingerprint,
                "sound": self._sound_model.fingerprint if self._sound_model else "",
                "sentences": self._sentences_name,
                "config": asdict(self.config),
            }
            if self._sentences is not None:
                told["sentence_encoder"] = fingerprint_of(self._sentences)
            text = json.dumps(told, sort_keys=True)
            self._fingerprint = hashlib.sha256(text.encode()).hexdigest()
        return self._fingerprint

    def respond(self, questions: Sequence[Prompted]) -> Iterator[Response]:
        """See ``Respondent``: scores of the options, or why there are none."""
        for question in questions:
            asked = {"index": question.index, "setting": question.setting}
            try:
                terms = self.terms(question)
            except DataError as error:
                yield Response(**asked, error=" ".join(str(error).split()), kind="media")
                continue
            if not terms:
                lack = f"the dual encoder has no {self.config.part} part in this setting"
                if question.audio and not self._sound_model:
                    lack = "no sound model; give dual:CLIP+AUDIO"
                yield Response(**asked, error=lack, kind="refused")
                continue
            total = np.sum([weight * z_scores(values) for weight, values in terms.values()], axis=0)
            yield Response(**asked, scores=tuple(round(float(value), 9) for value in total))

    def remember_picture(self, media: Media, embed: Tensor) -> None:
        """Take an embedding that is already there, unit norm, instead of making it."""
        self._media[_key(media, self._see)] = embed.float().cpu()

    def terms(
        self, question: Prompted
    ) -> Mapping[str, tuple[float, Float64[np.ndarray, " options"]]]:
        """Weight and similarities of each term that the setting and the part allow.

        Raises:
            DataError: a picture or sound cannot be read or decoded.
        """
        part, config = self.config.part, self.config
        terms: dict[str, tuple[float, np.ndarray]] = {}
        if part == "options":
            return {"options": (1.0, self._typical(question))}
        if question.image is not None and part in ("fused", "image"):
            embed = self._embedded(question.image, self._see)
            terms["image"] = (config.image_weight, self._cosines(question, embed, sound=False))
        if question.audio is not None and self._sound_model and part in ("fused", "audio"):
            embed = self._embedded(question.audio, self._hear)
            terms["audio"] = (config.audio_weight, self._cosines(question, embed, sound=True))
        for name, text in (("caption", question.caption), ("transcript", question.transcript)):
            if text is not None and part in ("fused", "text"):
                is_sound = name == "transcript" and self._sound_model is not None
                values = self._text_similarity(question, text, sound=is_sound)
                terms[name] = (config.text_weight, values)
        return terms

    def _see(self, media: Media) -> Tensor:
        from vlsuite.batches.decode import decode_image

        return embedded_picture(self._image_model, decode_image(media.read()))

    def _hear(self, media: Media) -> Tensor:
        assert self._sound_model is not None
        return self._sound_model.embed_sound(media.read(), name=media.name).float()

    def _embedded(self, media: Media, embed: Callable[[Media], Tensor]) -> Tensor:
        """Each picture and sound once, however many settings show it."""
        key = _key(media, embed)
        if key not in self._media:
            self._media[key] = embed(media)
        return self._media[key]

    def _cosines(self, question: Prompted, embed: Tensor, *, sound: bool) -> np.ndarray:
        texts = self._option_texts(question, sound=sound)
        return (self._embedded_texts(texts, sound=sound) @ embed).double().numpy()

    def _text_similarity(self, question: Prompted, text: str, *, sound: bool) -> np.ndarray:
        sentences = [part for part in _SENTENCES.split(text.strip()) if part.strip()]
        sentences = sentences[:_MOST_SENTENCES] or [text]
        if self._sentences is not None:
            found = np.asarray(self._sentences.matrix(list(question.options), sentences))
        else:
            options = self._embedded_texts(list(question.options), sound=sound)
            found = (options @ self._embedded_texts(sentences, sound=sound).T).double().numpy()
        return found.max(axis=1).astype(np.float64)

    def _typical(self, question: Prompted) -> np.ndarray:
        """Mean similarity of each option to all: what can be told without looking at anything."""
        embeds = self._embedded_texts(list(question.options), sound=False)
        return (embeds @ embeds.T).double().numpy().mean(axis=1)

    def _option_texts(self, question: Prompted, *, sound: bool) -> list[str]:
        together = [f"{question.text} {option}".strip() for option in question.options]
        if self.config.question == "never":
            return list(question.options)
        if self.config.question == "always":
            return together
        return together if self._all_fit(together, sound=sound) else list(question.options)

    def _all_fit(self, texts: Sequence[str], *, sound: bool) -> bool:
        """Whether the last position of the context is padding for every text.

        Models that do not show their tokenizer are taken to have open_clip's 77 positions at three
        characters each.
        """
        tokenizer = getattr(self._tower(sound=sound), "tokenizer", None)
        if tokenizer is None:
            return max(map(len, texts)) <= 75 * 3
        token_ids = tokenizer(["a", *texts])
        return bool((token_ids[1:, -1] == token_ids[0, -1]).all())

    def _tower(self, *, sound: bool) -> EmbeddingModel | SoundModel:
        if not sound:
            return self._image_model
        assert self._sound_model is not None
        if isinstance(self._sound_model, SpectrogramClip):
            return self._sound_model.model
        return self._sound_model

    def _embedded_texts(self, texts: Sequence[str], *, sound: bool) -> Tensor:
        new = [text for text in dict.fromkeys(texts) if (sound, text) not in self._texts]
        if new:
            with torch.no_grad():
                embeds = self._tower(sound=sound).embed_texts(new).float().cpu()
            self._texts.update({(sound, text): e for text, e in zip(new, embeds, strict=True)})
        return torch.stack([self._texts[sound, text] for text in texts])


def _key(media: Media, embed: Callable[[Media], Tensor]) -> bytes:
    return hashlib.sha256(media.read()).digest() + embed.__name__.encode()


def z_scores(values: Float64[np.ndarray, " options"]) -> Float64[np.ndarray, " options"]:
    """(value - mean) / spread over the options, population spread; zeros where there is none."""
    spread = values.std()
    if not spread > 1e-12:
        return np.zeros_like(values)
    return (values - values.mean()) / spread


@openers.register("dual")
def open_dual(rest: str, device: torch.device) -> DualEncoder:
    """What stands behind "dual:"; see ``load_dual``."""
    return load_dual(rest, device=device)


def load_dual(
    spec: str, *, device: str | torch.device = "cpu", config: DualConfig | None = None
) -> DualEncoder:
    """The dual encoder of a spec.

    Args:
        spec: "CLIP", "CLIP+AUDIO", "CLIP+AUDIO+sentence:ENCODER", with or without "dual:" before
            it: a CLIP as ``eval.opening.open_model`` takes it, a sound model as
            ``load_sound_model`` does, and a sentence encoder as ``vlsuite xmai`` does.
            "+part:options" and "+question:never" choose those fields of ``DualConfig``.
    Raises:
        EvaluationError: the spec has other parts, or a part cannot be loaded.
        ModelError: see ``eval.opening.open_model``.
    """
    from eval.opening import open_embedding_model

    models, told = _spec_parts(spec)
    chosen: dict[str, Any] = {key: told[key] for key in ("part", "question") if key in told}
    similarity = None
    if "sentence" in told:
        from eval.hub.similarity import load_similarity

        similarity = load_similarity(told["sentence"], device=str(device))
    return DualEncoder(
        open_embedding_model(models[0], device=device),
        load_sound_model(models[1], device=device) if len(models) == 2 else None,
        sentences=similarity,
        sentences_name=f"sentence:{told['sentence']}" if similarity else "",
        config=replace(config or DualConfig(), **chosen),
    )


def _spec_parts(spec: str) -> tuple[list[str], dict[str, str]]:
    """The models in order, and what is named: sentence, part, question."""
    models, told = [], {}
    for part in spec.removeprefix(PREFIX).split("+"):
        key, _, value = part.partition(":")
        if key in ("sentence", "part", "question") and value and key not in told:
            told[key] = value
        elif part:
            models.append(part)
    if len(models) not in (1, 2):
        raise EvaluationError(
            f"'{spec}' is no dual encoder; write dual:CLIP, dual:CLIP+AUDIO or "
            "dual:CLIP+AUDIO+sentence:ENCODER, and +part:PART or +question:never behind it"
        )
    return models, told
