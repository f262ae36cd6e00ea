"""STORM with a language model, built around the image tower of a dual encoder."""

from torch import nn

from vlsuite.errors import ConfigError, ModelError
from vlsuite.models.coca.trainable import TrainableCoca
from vlsuite.models.dual_encoder.trainable import TrainableDualEncoder
from vlsuite.models.language.causal_lm import LanguageModel, load_language_model
from vlsuite.models.storm.frame_encoder import freeze_unread
from vlsuite.models.storm.settings import StormSettings
from vlsuite.models.storm.tower import ClipTokens
from vlsuite.models.storm.trainable_writer import TrainableStormWriter
from vlsuite.models.storm.writer import StormWriter
from vlsuite.models.video_text.shared_names import names_in_image_tower


def build_writer(settings: StormSettings, base: TrainableDualEncoder) -> TrainableStormWriter:
    """The model that writes, on the CPU in fp32.

    Args:
        base: the dual encoder whose image tower it takes over.
    Raises:
        ConfigError: the language model is of another width than ``model.width``, or has no room
            for the clips that it is trained on.
        ModelError: the language model or the image tower cannot be used.
    """
    if isinstance(base, TrainableCoca):
        raise ModelError(
            f"'{settings.image_text.name}' writes captions itself; choose a dual encoder without a "
            "decoder"
        )
    image: nn.Module = base.encoder.visual
    names = {
        id(value): f"visual.{name}"
        for name, value in (*image.named_parameters(), *image.named_buffers())
    }
    language = load_language_model(
        settings.language_model, context_length=settings.writing.answer_length
    )
    width = _width(settings, language)
    frames = settings.frames_of(base, width=width)
    freeze_unread(frames, base.preprocess["size"])
    tokens = ClipTokens(
        frames,
        settings.mixers(width),
        reduction=settings.reduction,
        tokens_at_once=settings.tokens_at_once,
        grad_checkpointing=settings.image_text.grad_checkpointing,
    )
    encoder = StormWriter(tokens, language, train_language=settings.train_language_model)
    _check_room(settings, encoder)
    shared = dict(names_in_image_tower(encoder.visual, names))
    return TrainableStormWriter(
        encoder=encoder,
        base=base,
        writing=settings.writing,
        curriculum=settings.curriculum,
        described=settings.described(),
        image_names={f"visual.{name}": image_name for name, image_name in shared.items()},
    )


def _width(settings: StormSettings, language: LanguageModel) -> int:
    width: int = language.model.get_input_embeddings().embedding_dim
    if settings.width not in (None, width):
        raise ConfigError(
            f"model.width={settings.width}, but the language model's is {width}; leave it out"
        )
    return width


def _check_room(settings: StormSettings, encoder: StormWriter) -> None:
    """Refuse clips that would not fit, before any of them is decoded."""
    frames = max(settings.curriculum.frames)
    tokens = encoder.visual.tokens_of(frames)
    writing = settings.writing
    places = tokens + writing.question_length + writing.answer_length
    if encoder.positions is not None and places > encoder.positions:
        raise ConfigError(
            f"{frames} frames are {tokens:,} tokens, with model.writing.question_length and "
            f"answer_length {places:,} places, and the language model has {encoder.positions:,}; "
            "show fewer frames (model.frames), keep fewer tokens (model.reduction), or shorten "
            "these"
        )
