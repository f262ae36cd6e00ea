"""What a setting removes does not reach the model, proved on what the model receives.

For each of the eight settings and each style of prompt: the request bodies that a real server
receives, the tensors that a transformers model is called with, and the scores of a dual encoder.
Each modality is exchanged for
another one in turn: what arrives must stay the same byte for byte where the setting removes it, and
change where the setting keeps it.
"""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.support.omni_questions import picture, sound, write_github_form
from benchmarks.support.omni_server import OmniServer, letter_model
from data_pipelines.spectrogram import SpectrogramConfig
from eval.omnibench.read_questions import read_questions
from eval.respondents.dual_encoder import DualEncoder
from eval.respondents.endpoint import Endpoint
from eval.respondents.endpoint_config import EndpointConfig, EndpointLimits
from eval.respondents.media import BytesMedia
from eval.respondents.omni_transformers import OmniConfig, OmniTransformers, load_omni
from eval.respondents.prompt import STYLES
from eval.respondents.question import SETTINGS, OmniQuestion, Setting, prompted
from eval.respondents.sound_models import SpectrogramClip
from tests.support.embedding_model import SmallClip
from tests.support.omni_models import random_omni

#: What each exchange changes, and whether a setting shows it.
EXCHANGES = {
    "image": lambda setting: setting.image == "raw",
    "caption": lambda setting: setting.image == "text",
    "audio": lambda setting: setting.audio == "raw",
    "transcript": lambda setting: setting.audio == "text",
}


@pytest.fixture(scope="module")
def question(tmp_path_factory: pytest.TempPathFactory) -> OmniQuestion:
    return read_questions(write_github_form(tmp_path_factory.mktemp("leak"), 1)).questions[0]


@pytest.fixture(scope="module")
def omni(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_omni(tmp_path_factory.mktemp("omni") / "model")


@pytest.fixture(scope="module")
def clips() -> tuple[SmallClip, SpectrogramClip]:
    return SmallClip(), SpectrogramClip(SmallClip(seed=1), SpectrogramConfig())


def variants(question: OmniQuestion) -> dict[str, OmniQuestion]:
    """The question itself, and with each modality exchanged."""
    return {
        "": question,
        "image": replace(question, image=BytesMedia("otherpicture.png", picture(100))),
        "audio": replace(question, audio=BytesMedia("othersound.mp3", sound(100))),
        "caption": replace(question, caption="otherseen"),
        "transcript": replace(question, transcript="otherheard"),
    }


def received(question: OmniQuestion, setting: Setting, style: str) -> list[bytes]:
    """Bodies that a server receives for all variants of a question."""
    asked = [prompted(q, setting) for q in variants(question).values()]
    limits = EndpointLimits(concurrency=1)
    with OmniServer(letter_model, keep_bodies=True) as server:
        config = EndpointConfig(url=server.url, model="m", style=style)
        assert len(list(Endpoint(config, limits=limits).respond(asked))) == len(asked)
    return server.ledger.bodies


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", SETTINGS)
def test_request_bodies_hold_what_the_setting_keeps_and_nothing_else(
    question: OmniQuestion, name: str, style: str
) -> None:
    setting = SETTINGS[name]
    url_free = received(question, setting, style)
    original = dict(zip(variants(question), url_free, strict=True))
    for exchanged, is_kept in EXCHANGES.items():
        assert (original[exchanged] != original[""]) == is_kept(setting), exchanged
    body = original[""].decode()
    assert ("heardword0" in body) == (setting.audio == "text")
    assert ("seenword0" in body) == (setting.image == "text")
    assert question.image.name not in body
    assert question.audio.name not in body
    media = sent_media(body)
    assert media.get("image_url") == (question.image.read() if setting.image == "raw" else None)
    assert media.get("input_audio") == (question.audio.read() if setting.audio == "raw" else None)


def sent_media(body: str) -> dict[str, bytes]:
    """Decoded media of a request."""
    found = {}
    for part in json.loads(body)["messages"][0]["content"]:
        if part["type"] == "image_url":
            found["image_url"] = base64.b64decode(part["image_url"]["url"].partition(",")[2])
        if part["type"] == "input_audio":
            found["input_audio"] = base64.b64decode(part["input_audio"]["data"])
    return found


def tensors(model: OmniTransformers, question: OmniQuestion, setting: Setting) -> dict[str, Any]:
    """What the model is called with."""
    calls: list[dict[str, Any]] = []
    generate = model._model.generate

    def spy(**given: Any) -> Any:
        calls.append(given)
        return generate(**given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model._model, "generate", spy)
        (response,) = model.respond([prompted(question, setting)])
    assert response.error is None
    (call,) = calls
    return call


@pytest.mark.parametrize("style", STYLES)
def test_tensors_hold_what_the_setting_keeps_and_nothing_else(
    question: OmniQuestion, omni: Path, style: str
) -> None:
    model = load_omni(OmniConfig(model=str(omni), style=style, max_tokens=1, device="cpu"))
    for setting in SETTINGS.values():
        calls = {key: tensors(model, q, setting) for key, q in variants(question).items()}
        for exchanged, is_kept in EXCHANGES.items():
            assert same(calls[""], calls[exchanged]) != is_kept(setting), (setting, exchanged)
        text = model._processor.tokenizer.decode(calls[""]["input_ids"][0])
        assert ("heardword0" in text) == (setting.audio == "text")
        assert ("seenword0" in text) == (setting.image == "text")
        assert ("pixel_values" in calls[""]) == (setting.image == "raw")
        assert ("input_features" in calls[""]) == (setting.audio == "raw")


@pytest.mark.parametrize("name", SETTINGS)
def test_scores_of_a_dual_encoder_depend_on_what_the_setting_keeps_and_nothing_else(
    question: OmniQuestion, clips: tuple[SmallClip, SpectrogramClip], name: str
) -> None:
    setting = SETTINGS[name]
    sees, hears = clips
    scores = {}
    for exchanged, variant in variants(question).items():
        model = DualEncoder(sees, hears)  # a new one: nothing is remembered
        (response,) = model.respond([prompted(variant, setting)])
        scores[exchanged] = response.scores
    assert scores[""] is not None
    for exchanged, is_kept in EXCHANGES.items():
        assert (scores[exchanged] != scores[""]) == is_kept(setting), exchanged


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether two calls are equal in every tensor and option."""
    if set(a) != set(b):
        return False
    pairs = [(a[key], b[key]) for key in a]
    return all(torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y for x, y in pairs)
