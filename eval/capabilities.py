"""What a model may be able to do, and the words for models that cannot."""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import torch

from eval.contract import (
    Answerer,
    Captioner,
    ClipAnswerer,
    ClipEmbeddingModel,
    Detector,
    DifferentiableModel,
    EmbeddingModel,
    Instructed,
    Matcher,
    Model,
    PictureModel,
)
from eval.respondents.contract import FrameRespondent, KnowsQuestions, Respondent


class Capability(NamedTuple):
    """One thing that a task demands of a model.

    Attributes:
        protocols: any of these is enough.
        lack: goes on after the model's name where it has none of them: "writes no captions".
    """

    protocols: tuple[type, ...]
    lack: str


EMBEDS = Capability((EmbeddingModel,), "does not embed pictures and texts")
#: Any model that embeds pictures embeds clips too: as the mean of their frames.
EMBEDS_CLIPS = Capability(
    (ClipEmbeddingModel, EmbeddingModel),
    "embeds neither clips nor pictures with texts (one that answers in words: video_questions)",
)
MATCHES = Capability((Matcher,), "does not match pictures with texts, it only embeds them")
GIVES_GRADIENTS = Capability((DifferentiableModel,), "gives no gradients of its embeddings")
WRITES_CAPTIONS = Capability((Captioner,), "writes no captions")
DETECTS = Capability((Detector,), "detects nothing in pictures")
ANSWERS = Capability((Answerer,), "answers no questions")
ANSWERS_CLIPS = Capability(
    (ClipAnswerer, FrameRespondent),
    "answers no questions about videos (one that embeds: video_order)",
)
RESPONDS = Capability((Respondent,), "does not respond to questions about pictures and sounds")
EMBEDS_OR_RESPONDS = Capability(
    (EmbeddingModel, Respondent, KnowsQuestions),
    "neither embeds pictures and texts nor answers questions about pictures and sounds",
)


def lack_of(model: Model, demanded: Iterable[Capability]) -> str | None:
    """What the model cannot do of what is demanded, in one line; None: it can do all."""
    for capability in demanded:
        if not isinstance(model, capability.protocols):
            return f"model {model.name} {capability.lack}"
    return None


def identity_of(model: Model) -> str:
    """SHA-256 over all that the model's results depend on.

    That is its fingerprint, the scale and bias that make probabilities of cosines, and the words
    that it is asked in.
    """
    told = [model.fingerprint]
    if isinstance(model, EmbeddingModel):
        told += [repr(float(model.logit_scale)), repr(float(model.logit_bias))]
    if isinstance(model, Instructed):
        told.append(model.wording)
    return hashlib.sha256("\0".join(told).encode()).hexdigest()


def device_of(model: Model) -> torch.device | str:
    """Where the model runs; the CPU for one that runs elsewhere."""
    return model.device if isinstance(model, PictureModel) else "cpu"
