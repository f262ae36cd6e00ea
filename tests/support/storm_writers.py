"""A STORM with a tiny language model, and clips with questions that it can learn."""

import json
from pathlib import Path
from typing import Any

import torch

from tests.support.clip_shards import moving_square
from tests.support.language_models import random_language_model
from tests.support.shards import write_tar
from tests.support.words import CONTEXT_LENGTH, word_tokenizer_folder
from vlsuite.batches.worded_questions import LETTERS, lettered
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.storm.config import StormConfig
from vlsuite.models.storm.trainable_writer import TrainableStormWriter
from vlsuite.models.storm.writing import WritingConfig

QUESTION, OPTIONS = "Which way?", ("left", "right")
WAYS = ("it moves right", "it moves left")
_TEXTS = (*WAYS, lettered(QUESTION, OPTIONS), "Question: Does it move left? yes no", *LETTERS[:4])


def language_model(folder: Path, **settings: Any) -> Path:
    """A GPT-2 that knows the words of these clips."""
    return random_language_model(folder, [*_TEXTS] * 4, **settings)


def write_asked_clips(folder: Path, count: int, *, num_frames: int = 4) -> Path:
    """A shard of clips with captions; two of three have a question too, in turn of each kind."""
    members = []
    for number in range(count):
        key, way = f"clip{number:05d}", number % 2
        for place, data in enumerate(moving_square(number, num_frames)):
            members.append((f"{key}.frame.{place}.png", data))
        fields: dict[str, Any] = {"uid": f"{number:032x}", "caption": WAYS[way]}
        if number % 3 == 0:
            fields |= {"question": QUESTION, "options": OPTIONS, "answer": 1 - way}
        elif number % 3 == 1:
            fields |= {"question": "Does it move left?", "answer": ("no", "yes")[way]}
        members.append((f"{key}.json", json.dumps(fields).encode()))
    return write_tar(folder / "asked-00000.tar", members)


def tiny_writer(language: Path, **changes: Any) -> TrainableStormWriter:
    """With random weights, 16 tokens a frame joined to 4."""
    torch.manual_seed(0)
    words = {"tokenizer": str(word_tokenizer_folder()), "context_length": CONTEXT_LENGTH}
    settings: dict[str, Any] = {
        "image_text": OpenClipConfig(name="vlsuite-micro-32", **words),
        "language_model": str(language),
        "writing": WritingConfig(answer_length=12, question_length=32),
    }
    built = StormConfig(**(settings | changes)).build()
    assert isinstance(built, TrainableStormWriter)
    return built
