"""Omni models of transformers, run here: the writing half ("thinker") of Qwen Omni checkpoints."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from PIL import Image

from data_pipelines.errors import DataError
from data_pipelines.image_formats import open_image
from eval.errors import EvaluationError
from eval.respondents.instructed import InstructedModel
from eval.respondents.prompt import (
    AudioPart,
    ImagePart,
    TextPart,
    checked_style,
    parts,
    style_fingerprint,
)
from eval.respondents.question import Prompted
from eval.respondents.response import Response
from eval.respondents.sound import heard
from vlsuite.errors import UserError
from vlsuite.models.quiet_loading import quiet_loading
from vlsuite.models.sizes import check_model_folder

#: Samples a second that the models' audio encoders take.
RATE = 16_000

#: Model types of checkpoints, whole or thinker alone, and the class of transformers that reads the
#: thinker out of them.
THINKERS: Mapping[str, str] = MappingProxyType(
    {
        "qwen2_5_omni": "Qwen2_5OmniThinkerForConditionalGeneration",
        "qwen2_5_omni_thinker": "Qwen2_5OmniThinkerForConditionalGeneration",
        "qwen3_omni_moe": "Qwen3OmniMoeThinkerForConditionalGeneration",
        "qwen3_omni_moe_thinker": "Qwen3OmniMoeThinkerForConditionalGeneration",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class OmniConfig:
    """How a model is asked.

    Args:
        model: folder of a checkpoint, or its name on the Hugging Face hub.
        style: of the prompts.
        system: system prompt; None for none. Qwen's own examples give a persona.
        max_tokens: of an answer.
        batch_size: questions at a time.
        max_side: longest side of pictures, pixels; None takes them as they are stored.
        device: where it runs; None for a GPU where there is one.
    """

    model: str
    style: str = "vlsuite"
    system: str | None = None
    max_tokens: int = 128
    batch_size: int = 1
    max_side: int | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        checked_style(self.style)
        for name, least in (("max_tokens", 1), ("batch_size", 1), ("max_side", 28)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise EvaluationError(
                    f"{name.replace('_', ' ')} is {value}; it is at least {least}"
                )


class OmniTransformers(InstructedModel):
    """Asks a loaded thinker: greedy, no repetition penalty, sound as 16 kHz mono.

    Args:
        config: see ``OmniConfig``.
        model, processor: as transformers loads them.
        weights: digest of the checkpoint.
    """

    def __init__(self, config: OmniConfig, *, model: Any, processor: Any, weights: str) -> None:
        super().__init__(max_side=config.max_side)
        self._config, self._weights = config, weights
        self._model, self._processor = model, processor

    @property
    def name(self) -> str:
        """Last part of the folder or hub name."""
        return self._config.model.rstrip("/").rpartition("/")[2]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the checkpoint's files and the way of asking; see ``load_omni``."""
        told = {
            "weights": self._weights,
            "wording": style_fingerprint(self._config.style),
            "system": self._config.system,
            "max_tokens": self._config.max_tokens,
            "dtype": str(self._model.dtype),
        }
        if self._config.max_side is not None:
            told["max_side"] = self._config.max_side
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    @property
    def style(self) -> str:
        """Of its prompts."""
        return self._config.style

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._model.device

    def respond(self, questions: Sequence[Prompted]) -> Iterator[Response]:
        """See ``Respondent``.

        Raises:
            EvaluationError: the device has too little memory.
        """
        return self.write(questions, max_tokens=self._config.max_tokens, num_beams=1)

    def write(
        self, questions: Sequence[Prompted], *, max_tokens: int, num_beams: int
    ) -> Iterator[Response]:
        """See ``InstructedModel``.

        Raises:
            EvaluationError: the device has too little memory.
        """
        for first in range(0, len(questions), self._config.batch_size):
            ready = []
            for question in questions[first : first + self._config.batch_size]:
                try:
                    ready.append(_read(question, self._config))
                except DataError as error:
                    yield _broken(question, error)
            if ready:
                yield from self._answer(ready, max_tokens=max_tokens, num_beams=num_beams)

    def inputs(self, messages: Sequence[list[dict[str, Any]]]) -> dict[str, torch.Tensor]:
        """What the model gets of some conversations, on its device.

        Args:
            messages: conversations as the processor's template takes them, media decoded.
        """
        texts = self._processor.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=True
        )
        images, sounds = ([_media(m, kind) for m in messages] for kind in ("image", "audio"))
        given: dict[str, Any] = {"text": texts, "padding": True, "return_tensors": "pt"}
        if any(images):
            given["images"] = [image for found in images for image in found]
        if any(sounds):
            given |= {"audio": [sound for found in sounds for sound in found]}
            given["sampling_rate"] = RATE
        return dict(self._processor(**given).to(self._model.device))

    def _answer(
        self, ready: Sequence["_Ready"], *, max_tokens: int, num_beams: int
    ) -> Iterator[Response]:
        inputs = self.inputs([item.messages for item in ready])
        floating = {k: v for k, v in inputs.items() if v.is_floating_point()}
        inputs |= {name: value.to(self._model.dtype) for name, value in floating.items()}
        length = inputs["input_ids"].shape[1]
        try:
            with torch.inference_mode():
                written = self._model.generate(
                    **inputs,
                    do_sample=False,
                    num_beams=num_beams,
                    repetition_penalty=1.0,
                    max_new_tokens=max_tokens,
                    temperature=None,
                    top_p=None,
                    top_k=None,
                )[:, length:]
        except torch.OutOfMemoryError as error:
            raise EvaluationError(
                f"{self.name} needs more memory than the device has; use a smaller --batch-size or "
                "a larger device, or give --max-side"
            ) from error
        texts = self._processor.batch_decode(written, skip_special_tokens=True)
        padding = self._processor.tokenizer.pad_token_id
        ends = _end_tokens(self._model, self._processor.tokenizer)
        for item, text, tokens, mask in zip(
            ready, texts, written, inputs["attention_mask"], strict=True
        ):
            yield Response(
                index=item.question.index,
                setting=item.question.setting,
                text=text,
                input_tokens=int(mask.sum()),
                output_tokens=int((tokens != padding).sum()),
                ending="stop" if _has_ended(tokens, ends, max_tokens) else "length",
            )


def _end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """Ids that end an answer."""
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    listed = named if isinstance(named, list) else [named, tokenizer.eos_token_id]
    return {int(token) for token in listed if token is not None}


def _has_ended(tokens: torch.Tensor, ends: set[int], max_tokens: int) -> bool:
    """Whether the model was done before the limit."""
    return len(tokens) < max_tokens or bool(ends.intersection(tokens.tolist()))


def load_omni(config: OmniConfig) -> OmniTransformers:
    """Load a checkpoint: safetensors only, no code of its own.

    The digest of the weights covers every file of a local folder by its name, its size and its
    first and last 64 KiB; of a checkpoint on the hub it is the commit.

    Raises:
        EvaluationError: it cannot be had, is none of ``THINKERS``, or is not in safetensors.
    """
    if config.model.startswith(("/", ".", "~")) and not Path(config.model).is_dir():
        raise EvaluationError(f"no folder {config.model}; give that of a checkpoint, or a hub name")
    import transformers
    from transformers import AutoConfig, AutoProcessor

    device = config.device or ("cuda" if torch.cuda.is_available() else "cpu")
    check_model_folder(config.model)
    try:
        found = AutoConfig.from_pretrained(config.model, trust_remote_code=False)
        thinker = THINKERS.get(found.model_type)
        if thinker is None:
            raise EvaluationError(
                f"{config.model} is of type {found.model_type}; models that are run here: "
                f"{', '.join(THINKERS)}; serve others behind an endpoint and give URL#MODEL"
            )
        with quiet_loading():
            model = getattr(transformers, thinker).from_pretrained(
                config.model, use_safetensors=True, trust_remote_code=False, dtype="auto"
            )
        processor = AutoProcessor.from_pretrained(config.model, trust_remote_code=False)
    except UserError:
        raise
    except Exception as error:  # transformers raises all kinds for a folder of unknown make
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise EvaluationError(
            f"cannot load {config.model} ({reason}); give a folder with config.json, safetensors "
            f"and the processor's files, as 'hf download {config.model}' fetches them"
        ) from error
    return OmniTransformers(
        config,
        model=model.eval().to(device),
        processor=processor,
        weights=_weights_digest(config.model, found),
    )


@dataclass(frozen=True, slots=True)
class _Ready:
    """A question with decoded media, as a conversation."""

    question: Prompted
    messages: list[dict[str, Any]]


def _read(question: Prompted, config: OmniConfig) -> _Ready:
    content: list[dict[str, Any]] = []
    for part in parts(question, config.style):
        if isinstance(part, TextPart):
            content.append({"type": "text", "text": part.text})
        elif isinstance(part, ImagePart):
            content.append({"type": "image", "image": _picture(part.media.read(), config)})
        elif isinstance(part, AudioPart):
            content.append({"type": "audio", "audio": heard(part.media, rate=RATE)})
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if config.system is not None:
        told = [{"type": "text", "text": config.system}]
        messages.insert(0, {"role": "system", "content": told})
    return _Ready(question, messages)


def _media(messages: Sequence[Mapping[str, Any]], kind: str) -> list[Any]:
    return [
        piece[kind] for message in messages for piece in message["content"] if piece["type"] == kind
    ]


def _picture(data: bytes, config: OmniConfig) -> Image.Image:
    try:
        picture = open_image(data).convert("RGB")
        if config.max_side is not None and max(picture.size) > config.max_side:
            picture.thumbnail((config.max_side, config.max_side), Image.Resampling.LANCZOS)
        return picture
    except Exception as error:  # Pillow raises all kinds for broken files
        raise DataError(f"the picture cannot be decoded: {str(error)[:160]}") from error


def _broken(question: Prompted, error: DataError) -> Response:
    told = " ".join(str(error).split())[:300]
    return Response(index=question.index, setting=question.setting, error=told, kind="media")


def _weights_digest(model: str, config: Any) -> str:
    digest = hashlib.sha256()
    if not Path(model).is_dir():
        return hashlib.sha256(f"{model}\0{config._commit_hash}".encode()).hexdigest()
    for path in sorted(Path(model).iterdir()):
        if path.is_file() and not path.name.startswith("."):
            with path.open("rb") as stream:
                whole = hashlib.file_digest(stream, "sha256").hexdigest()
            digest.update(f"{path.name}\0{whole}\0".encode())
    return digest.hexdigest()
