"""The dual encoder: its formula in loops, what each setting shows it, CLAP, and the task."""

import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from benchmarks.support.omni_questions import picture, sound, write_github_form
from data_pipelines.spectrogram import SpectrogramConfig
from eval.errors import EvaluationError
from eval.respondents.dual_encoder import PARTS, DualConfig, DualEncoder, load_dual, z_scores
from eval.respondents.media import BytesMedia
from eval.respondents.question import SETTINGS, OmniQuestion, prompted
from eval.respondents.sound_models import SpectrogramClip, load_sound_model, spectrogram_of
from tests.support.embedding_model import SmallClip

OPTIONS = ("a red door", "a barking dog", "rain", "a violin")


def _question(index: int = 0, **changes) -> OmniQuestion:
    question = OmniQuestion(
        index=index, task_type="t", audio_type="speech", text="What?", options=OPTIONS, answer=0,
        transcript="a dog that barks", caption="A door. It is red.",
        image=BytesMedia("a.png", picture(index)), audio=BytesMedia("a.wav", sound(1)),
    )  # fmt: skip
    return replace(question, **changes)


@pytest.fixture(scope="module")
def image_model():
    return SmallClip(seed=0)


@pytest.fixture(scope="module")
def sound_model():
    return SpectrogramClip(SmallClip(seed=1), SpectrogramConfig(side=32, seconds=0.5))


def _cosine(one, two) -> float:
    one, two = (np.asarray(v, dtype=np.float64) for v in (one, two))
    return float(sum(a * b for a, b in zip(one, two, strict=True)))


def _z(values) -> list[float]:
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))
    return [(v - mean) / spread for v in values]


def test_the_score_is_the_weighted_sum_of_z_scores(image_model, sound_model):
    config = DualConfig(image_weight=0.5, audio_weight=2.0, text_weight=3.0, question="never")
    encoder = DualEncoder(image_model, sound_model, config=config)
    question = _question()
    looked = image_model.embed_images(
        image_model.image_transform(Image.open(io.BytesIO(picture(0))).convert("RGB"))[None]
    )[0]
    heard = sound_model.embed_sound(sound(1), name="")
    of_image, of_sound = (
        image_model.embed_texts(list(OPTIONS)),
        sound_model.embed_texts(list(OPTIONS)),
    )
    image = _z([_cosine(text, looked) for text in of_image])
    audio = _z([_cosine(text, heard) for text in of_sound])
    described = image_model.embed_texts(["A door.", "It is red."])
    caption = _z([max(_cosine(text, other) for other in described) for text in of_image])
    (said,) = sound_model.embed_texts([question.transcript])
    transcript = _z([_cosine(text, said) for text in of_sound])
    expected = {
        "image_audio": [0.5 * a + 2 * b for a, b in zip(image, audio, strict=True)],
        "caption_transcript": [3 * a + 3 * b for a, b in zip(caption, transcript, strict=True)],
        "caption_audio": [3 * a + 2 * b for a, b in zip(caption, audio, strict=True)],
    }
    for setting, values in expected.items():
        (response,) = encoder.respond([prompted(question, SETTINGS[setting])])
        assert response.scores == pytest.approx(values, abs=1e-4)


def test_no_spread_gives_no_preference():
    assert z_scores(np.array([0.3, 0.3, 0.3])).tolist() == [0, 0, 0]
    assert z_scores(np.array([1.0, 3.0])).tolist() == [-1, 1]


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_what_a_setting_removes_changes_nothing_and_what_it_shows_does(
    setting, image_model, sound_model
):
    encoder = DualEncoder(image_model, sound_model)

    def scores(**changes):
        (response,) = encoder.respond([prompted(_question(**changes), setting)])
        return response.scores

    usual = scores()
    changed = {
        "image": scores(image=BytesMedia("b.png", picture(4))),
        "caption": scores(caption="Something else."),
        "audio": scores(audio=BytesMedia("b.wav", sound(3))),
        "transcript": scores(transcript="other words"),
    }
    shown = {
        "image": setting.image == "raw",
        "caption": setting.image == "text",
        "audio": setting.audio == "raw",
        "transcript": setting.audio == "text",
    }
    assert {name: other != usual for name, other in changed.items()} == shown


def test_parts_look_at_nothing_else(image_model, sound_model):
    question = prompted(_question(), SETTINGS["image_audio"])
    terms = {
        part: list(
            DualEncoder(image_model, sound_model, config=DualConfig(part=part)).terms(question)
        )
        for part in PARTS
    }
    assert terms == {
        "fused": ["image", "audio"], "image": ["image"], "audio": ["audio"], "text": [],
        "options": ["options"],
    }  # fmt: skip


def test_undecodable_media_and_parts_that_are_not_there_are_told(image_model, sound_model):
    encoder = DualEncoder(image_model, sound_model)
    broken = _question(audio=BytesMedia("2_121_007.mp3", b"junk"))
    (response,) = encoder.respond([prompted(broken, SETTINGS["image_audio"])])
    assert response.kind == "media"
    assert "2_121_007.mp3" in (response.error or "")
    (response,) = encoder.respond([prompted(broken, SETTINGS["image_transcript"])])
    assert response.scores is not None
    broken = _question(image=BytesMedia("x.png", b"junk"))
    (response,) = encoder.respond([prompted(broken, SETTINGS["image"])])
    assert response.kind == "media"
    (response,) = DualEncoder(image_model).respond([prompted(_question(), SETTINGS["audio"])])
    assert (response.kind, response.scores) == ("refused", None)


def test_the_question_stands_before_options_only_where_it_fits(image_model):
    def texts(question: str, text: str) -> bool:
        encoder = DualEncoder(image_model, config=DualConfig(question=question))  # type: ignore[arg-type]
        asked = prompted(_question(text=text), SETTINGS["image"])
        alone = DualEncoder(image_model, config=DualConfig(question="never"))
        return encoder.terms(asked)["image"][1].tolist() == alone.terms(asked)["image"][1].tolist()

    assert not texts("fits", "What is it?")
    assert texts("fits", "What is it that stands there in front of the old house? " * 3)
    assert not texts("always", "What is it that stands there in front of the old house? " * 3)


def test_names_and_fingerprints_tell_encoders_apart(image_model, sound_model):
    encoders = [
        DualEncoder(image_model),
        DualEncoder(image_model, sound_model),
        DualEncoder(image_model, sound_model, config=DualConfig(audio_weight=0.5)),
        DualEncoder(image_model, sound_model, config=DualConfig(part="image")),
    ]
    assert len({encoder.fingerprint for encoder in encoders}) == 4
    assert encoders[1].name == "dual:small-clip+small-clip"


def test_a_spec_of_too_many_parts_and_a_missing_clap_are_one_line(tmp_path):
    with pytest.raises(EvaluationError, match=r"dual:CLIP\+AUDIO"):
        load_dual("dual:a+b+c")
    with pytest.raises(EvaluationError, match="cannot load CLAP") as error:
        load_sound_model(f"clap:{tmp_path}")
    assert "\n" not in str(error.value)


def test_how_sounds_are_drawn_is_read_beside_the_training_shards(tmp_path):
    shards, run = tmp_path / "shards", tmp_path / "run"
    shards.mkdir()
    run.mkdir()
    assert spectrogram_of(run) is None
    with pytest.raises(EvaluationError, match="does not say how its sounds are drawn"):
        load_sound_model(str(run))
    (run / "config.json").write_text(json.dumps({"config": {"data": {"train": [str(shards)]}}}))
    (shards / "spectrogram.json").write_text(json.dumps({"side": 48, "window": "middle"}))
    assert spectrogram_of(run) == SpectrogramConfig(side=48, window="middle")
    (shards / "spectrogram.json").write_text(json.dumps({"sides": 48}))
    with pytest.raises(EvaluationError, match="does not say how sounds are drawn"):
        spectrogram_of(run)


@pytest.fixture(scope="module")
def clap_folder(tmp_path_factory) -> Path:
    """CLAP of a few thousand random weights, saved as real ones are."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        ClapConfig,
        ClapFeatureExtractor,
        ClapModel,
        PreTrainedTokenizerFast,
    )

    folder = tmp_path_factory.mktemp("clap")
    words = ["<pad>", "<unk>", *sorted({word for option in OPTIONS for word in option.split()})]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", model_max_length=16
    ).save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ClapModel(
            ClapConfig(
                text_config={
                    "vocab_size": len(words), "hidden_size": 16, "num_hidden_layers": 1,
                    "num_attention_heads": 2, "intermediate_size": 16, "pad_token_id": 0,
                    "max_position_embeddings": 20, "projection_dim": 8,
                },
                audio_config={
                    "num_mel_bins": 32, "spec_size": 128, "window_size": 4, "patch_size": 4,
                    "patch_stride": [4, 4], "hidden_size": 64, "projection_dim": 8,
                    "patch_embeds_hidden_size": 8, "depths": [1, 1, 1, 1],
                    "num_attention_heads": [1, 1, 1, 1], "num_hidden_layers": 4,
                },
                projection_dim=8,
            )
        ).save_pretrained(folder)  # fmt: skip
    ClapFeatureExtractor(
        feature_size=32, sampling_rate=8000, hop_length=80, max_length_s=1, fft_window_size=256,
        truncation="rand_trunc", padding="repeatpad",
    ).save_pretrained(folder)  # fmt: skip
    return folder


def test_clap_from_a_folder_gives_equal_unit_vectors_each_time(clap_folder):
    clap = load_sound_model(f"clap:{clap_folder}")
    long = io.BytesIO()
    soundfile.write(long, np.random.default_rng(0).normal(size=30_000) * 0.1, 16_000, format="WAV")
    for data in (sound(1), long.getvalue()):
        first, second = (clap.embed_sound(data, name="x") for _ in range(2))
        assert torch.equal(first, second)
        assert first.norm().item() == pytest.approx(1.0, abs=1e-5)
    texts = clap.embed_texts(list(OPTIONS))
    assert texts.shape == (4, 8)
    torch.testing.assert_close(texts.norm(dim=1), torch.ones(4))
    assert clap.fingerprint == load_sound_model(f"clap:{clap_folder}").fingerprint


def test_clap_answers_in_the_dual_encoder(clap_folder, image_model):
    encoder = DualEncoder(image_model, load_sound_model(f"clap:{clap_folder}"))
    (response,) = encoder.respond([prompted(_question(), SETTINGS["image_audio"])])
    assert response.scores is not None
    assert len(response.scores) == 4


def test_the_task_gives_what_the_respondent_gives(tmp_path, image_model, sound_model, monkeypatch):
    from eval.embedding.decode import StreamingDecoder
    from eval.embedding.embedder import StreamingEmbedder
    from eval.omnibench.read_questions import read_questions
    from eval.omnibench.task import OmniBenchOptions
    from eval.respondents import sound_models
    from eval.respondents.outcome import best_option
    from eval.running.selection import select
    from eval.task_choices import TaskChoices

    folder = write_github_form(tmp_path / "OmniBench", 12)
    (folder / "mm_data" / "image" / "3.jpg").write_bytes(b"broken")
    monkeypatch.setattr(sound_models, "load_sound_model", lambda spec, device: sound_model)
    options = OmniBenchOptions(audio_model="x", settings=("audio", "image_audio"))
    selection = select([str(folder)], choices=TaskChoices(options=(options,)))
    assert [b.dataset.split for b in selection.benchmarks] == ["image_audio", "audio"]
    embedder = StreamingEmbedder(decoder=StreamingDecoder(batch_size=4, workers=1))
    result = selection.benchmarks[0].run(image_model, embedder)
    encoder = DualEncoder(image_model, sound_model)
    questions = read_questions(folder).questions
    asked = [prompted(question, SETTINGS["image_audio"]) for question in questions]
    responses = list(encoder.respond(asked))
    right = [
        r.scores is not None and best_option(r.scores) == q.answer
        for r, q in zip(responses, questions, strict=True)
    ]
    assert result.scores["accuracy"].value == np.mean(right)
    assert result.details["counts"]["media"] == 1  # type: ignore[index, call-overload]
    assert (result.split, result.num_samples) == ("image_audio", 12)


def test_the_task_says_what_it_lacks(tmp_path, image_model):
    from eval.omnibench.task import OmniBenchOptions
    from eval.running.runner import possible_benchmarks
    from eval.running.selection import select
    from eval.task_choices import TaskChoices

    folder = str(write_github_form(tmp_path / "OmniBench", 4))
    with pytest.raises(EvaluationError, match=r"omnibench\.audio_model"):
        possible_benchmarks(image_model, select([folder]).benchmarks)
    request = TaskChoices(options=(OmniBenchOptions(settings=("pictures",)),))
    with pytest.raises(EvaluationError, match="choose from all, image_audio"):
        select([folder], choices=request)
    (benchmark,) = select(
        [folder], choices=TaskChoices(options=(OmniBenchOptions(settings=("image",)),))
    ).benchmarks
    assert benchmark.name == "omnibench"
