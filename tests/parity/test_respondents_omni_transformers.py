"""The thinker of Qwen2.5-Omni asked here, against greedy decoding by hand on the same weights."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.support.omni_questions import write_github_form
from eval.errors import EvaluationError
from eval.omnibench.read_questions import read_questions
from eval.respondents.media import BytesMedia
from eval.respondents.omni_transformers import OmniConfig, OmniTransformers, load_omni
from eval.respondents.question import SETTINGS, Prompted, prompted
from eval.respondents.response import Response
from tests.support.omni_models import random_omni


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_omni(tmp_path_factory.mktemp("parity-omni") / "tiny-omni")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> list[Prompted]:
    found = read_questions(write_github_form(tmp_path_factory.mktemp("parity"), 3))
    names = ("image_audio", "audio", "caption_transcript")
    return [prompted(q, SETTINGS[name]) for name in names for q in found.questions]


def load(folder: Path, **given: object) -> OmniTransformers:
    config = OmniConfig(model=str(folder), max_tokens=5, device="cpu")
    return load_omni(replace(config, **given))


def answers(model: OmniTransformers, asked: list[Prompted]) -> list[Response]:
    return list(model.respond(asked))


def test_answers_are_the_greedy_ones(
    folder: Path, asked: list[Prompted], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(folder)
    calls: list[dict[str, torch.Tensor]] = []
    real = model._model.generate
    monkeypatch.setattr(model._model, "generate", lambda **g: calls.append(g) or real(**g))
    given = answers(model, asked[::4])
    for call, response in zip(calls, given, strict=True):
        names = ("do_sample", "repetition_penalty", "max_new_tokens", "temperature")
        inputs = {k: v for k, v in call.items() if k not in (*names, "top_p", "top_k")}
        ids, start = inputs.pop("input_ids"), call["input_ids"].shape[1]
        del inputs["attention_mask"]
        for _ in range(5):
            with torch.no_grad():
                out = model._model(input_ids=ids, attention_mask=torch.ones_like(ids), **inputs)
            ids = torch.cat([ids, out.logits[:, -1:].argmax(-1)], dim=1)
            if ids[0, -1] == model._processor.tokenizer.eos_token_id:
                break
        written = model._processor.tokenizer.decode(ids[0, start:], skip_special_tokens=True)
        assert response.text == written
        assert response.input_tokens == start


def test_batches_and_whole_checkpoints_answer_alike(
    folder: Path, asked: list[Prompted], tmp_path: Path
) -> None:
    alone = answers(load(folder), asked)
    assert answers(load(folder, batch_size=4), asked) == alone
    whole = load(random_omni(tmp_path / "whole", whole=True))
    assert answers(whole, asked) == alone
    assert len({response.text for response in alone}) > 3


def test_fingerprint_follows_weights_and_prompt(folder: Path, tmp_path: Path) -> None:
    model = load(folder)
    assert model.name == "tiny-omni"
    assert model.fingerprint == load(folder, batch_size=3).fingerprint
    others = [
        load(folder, style="lmms"),
        load(folder, system="You are helpful."),
        load(random_omni(tmp_path / "tiny-omni", seed=1)),
    ]
    assert len({other.fingerprint for other in (model, *others)}) == 4


def test_system_prompt_reaches_the_model(folder: Path, asked: list[Prompted]) -> None:
    plain = answers(load(folder), asked[:1])[0].input_tokens
    told = answers(load(folder, system="Be brief."), asked[:1])[0].input_tokens
    assert plain is not None
    assert told is not None
    assert told > plain + len("Be brief.")


def test_undecodable_media_are_counted_and_the_rest_answered(
    folder: Path, asked: list[Prompted]
) -> None:
    broken = [
        replace(asked[0], image=BytesMedia("a.png", b"nothing")),
        replace(asked[1], audio=BytesMedia("a.mp3", b"nothing")),
        asked[2],
    ]
    found = {r.index: r.kind for r in answers(load(folder, batch_size=3), broken)}
    assert found == {0: "media", 1: "media", 2: ""}


def test_other_models_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no folder"):
        load(tmp_path / "absent")
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(EvaluationError, match="is of type gpt2; models that are run here") as told:
        load(tmp_path)
    assert "\n" not in str(told.value)


def test_weights_that_would_be_unpickled_are_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(EvaluationError, match="cannot load"):
        load(tmp_path)
