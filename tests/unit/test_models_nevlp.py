"""NEVLP's model: what is frozen, who sees concepts, what it can do, how it is kept."""

import dataclasses
import json

import pytest
import torch

from tests.support.nevlp_models import CAPTIONS, SIDE, output_of, tiny_batch, tiny_nevlp
from vlsuite.batches.concepts import TaggerSettings
from vlsuite.errors import ConfigError, DataError, ModelError
from vlsuite.models.dual_encoder.clip import Clip
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.nevlp.built import BuiltNevlp
from vlsuite.models.nevlp.config import NevlpConfig
from vlsuite.models.nevlp.folder import write_nevlp_folder
from vlsuite.models.nevlp.model import Nevlp
from vlsuite.models.opening import open_model
from vlsuite.objectives.nevlp import NevlpObjectiveConfig

CPU = torch.device("cpu")
CONCEPTS = (("circle",), ("square", "triangle"), ())


def pictures(count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)


def evaluated(built: BuiltNevlp, **options) -> Nevlp:
    built.encoder.eval()
    return Nevlp("tiny", built, logit_scale=14.0, device=CPU, **options)


def tagger_settings(built: BuiltNevlp) -> TaggerSettings:
    """Thresholds so low that every picture shows its two nearest concepts."""
    tower = built.image_tower
    clip = Clip(
        "tower",
        tower,
        tower.tokenizer,
        encode=tower.encoder,
        logit_scale=1.0,
        logit_bias=0.0,
        device=CPU,
    )
    return TaggerSettings(
        concepts=("circle", "square", "triangle"),
        thresholds=(-1.0, -1.0, -1.0),
        top=2,
        template="a photo of {}",
        fingerprint=clip.fingerprint,
        model="tower",
    )


def test_frozen_parts_stay_in_eval_mode_and_get_no_gradients():
    built = tiny_nevlp()
    encoder = built.encoder.train()
    assert encoder.querying.training
    assert not any(m.training for m in encoder.image_tower.modules())
    assert not any(m.training for m in encoder.language_model.modules())
    found = output_of(built, tiny_batch(built, concepts=CONCEPTS))
    parts = (found.image_embeds, found.text_embeds, found.match_logits, found.caption_losses)
    sum(part.square().sum() for part in parts).backward()
    for name, parameter in encoder.named_parameters():
        is_frozen = name.startswith(("image_tower.", "language_model."))
        assert (parameter.grad is None) == is_frozen, name


def test_concepts_reach_matching_and_writing_but_not_the_contrast():
    built = tiny_nevlp(concept_dropout=0.0)
    plain = output_of(built, tiny_batch(built))
    told = output_of(built, tiny_batch(built, concepts=CONCEPTS))
    torch.testing.assert_close(told.image_embeds, plain.image_embeds)
    torch.testing.assert_close(told.text_embeds, plain.text_embeds)
    for row, own in enumerate(CONCEPTS):
        for a, b in (
            (told.match_logits[row, 0], plain.match_logits[row, 0]),
            (told.caption_losses[row], plain.caption_losses[row]),
        ):
            assert torch.allclose(a, b, atol=1e-5) == (not own)


def test_negative_texts_come_with_the_concepts_of_their_picture(monkeypatch):
    built = tiny_nevlp(concept_dropout=0.0)
    batch, seen = tiny_batch(built, concepts=CONCEPTS), {}
    match = built.encoder.match

    def spy(tokens, token_ids, concept_ids):
        seen.update(tokens=tokens, concepts=concept_ids)
        return match(tokens, token_ids, concept_ids)

    monkeypatch.setattr(built.encoder, "match", spy)
    output_of(built, batch)
    own = {
        t.sum().item(): ids for t, ids in zip(seen["tokens"][:3], seen["concepts"][:3], strict=True)
    }
    for tokens, ids in zip(seen["tokens"], seen["concepts"], strict=True):
        assert torch.equal(own[tokens.sum().item()], ids)


def test_dropped_concepts_are_no_concepts():
    built = tiny_nevlp(concept_dropout=1.0)
    built.encoder.train()
    plain = output_of(built, tiny_batch(built))
    told = output_of(built, tiny_batch(built, concepts=CONCEPTS))
    for a, b in zip(plain, told, strict=True):
        torch.testing.assert_close(a, b)
    built.encoder.eval()
    assert not torch.equal(
        output_of(built, tiny_batch(built, concepts=CONCEPTS)).caption_losses, plain.caption_losses
    )


def test_pooling():
    mean, best = tiny_nevlp(), tiny_nevlp(itc_pool="max")
    assert output_of(mean, tiny_batch(mean)).image_embeds.shape == (3, 1, 16)
    assert output_of(best, tiny_batch(best)).image_embeds.shape == (3, 4, 16)
    with pytest.raises(ModelError, match="itc_pool=mean"):
        evaluated(best).embed_images(pictures())


def test_matching_in_two_steps_equals_one():
    built = tiny_nevlp()
    model = evaluated(built, tagger=lambda images: list(CONCEPTS[: len(images)]))
    tokens = model.image_tokens(pictures())
    found = model.match_tokens(tokens, list(CAPTIONS[:3]))
    pixels = (pictures().float() / 255 - model._mean) / model._std
    logits = built.encoder.match(
        built.encoder.image_tokens(pixels),
        built.tokenizer(list(CAPTIONS[:3])),
        built.encoder.concept_ids(CONCEPTS),
    )
    torch.testing.assert_close(found, (logits[:, 1] - logits[:, 0]).detach())
    without = evaluated(built).match_tokens(evaluated(built).image_tokens(pictures()), ["a"] * 3)
    assert without.shape == (3,)
    assert model.match_tokens(tokens[:0], []).shape == (0,)


def test_writing_is_the_same_each_time_and_follows_its_prompt():
    model = evaluated(tiny_nevlp())
    greedy = model.caption(pictures(), max_tokens=5)
    assert greedy == model.caption(pictures(), max_tokens=5)
    assert len(greedy) == 3
    assert greedy != model.caption(pictures(), max_tokens=5, prompts=["a small"] * 3)
    assert len(model.caption(pictures(), max_tokens=5, num_beams=3)) == 3
    assert len(model.answer(pictures(2), ["what shape is it?", "what colour?"], max_tokens=2)) == 2
    assert model.caption(pictures(0), max_tokens=5) == []


def test_one_picture_is_described_as_in_a_batch():
    model = evaluated(tiny_nevlp(), tagger=lambda images: list(CONCEPTS[-len(images) :]))
    assert (
        model.caption(pictures()[2:], max_tokens=6) == model.caption(pictures(), max_tokens=6)[2:]
    )


@pytest.fixture
def exported(tmp_path):
    """A model that names concepts itself, written and loaded; its folder too."""
    built = tiny_nevlp()
    built = dataclasses.replace(built, tagger=tagger_settings(built))
    folder = tmp_path / "out"
    write_nevlp_folder(folder, built, dict(built.encoder.named_parameters()), logit_scale=14.0)
    return evaluated(built), open_model(str(folder)), folder


def test_an_exported_model_is_the_same(exported):
    before, after, _ = exported
    assert isinstance(after, Nevlp)
    assert after.logit_scale == 14.0
    assert after.fingerprint == before.fingerprint
    assert after.concepts_of(pictures()) == before.concepts_of(pictures())
    assert all(len(own) == 2 for own in after.concepts_of(pictures()))
    assert torch.equal(after.embed_images(pictures()), before.embed_images(pictures()))
    assert torch.equal(after.embed_texts(CAPTIONS), before.embed_texts(CAPTIONS))
    tokens = after.image_tokens(pictures())
    assert torch.equal(tokens, before.image_tokens(pictures()))
    assert after.caption(pictures(), max_tokens=5) == before.caption(pictures(), max_tokens=5)
    assert after.embed_texts([]).shape == (0, 16)


def test_what_is_missing_from_a_folder_is_named(exported):
    _, _, folder = exported
    stored = json.loads((folder / "nevlp_config.json").read_text())
    stored["model"]["embed_dim"] = 17
    (folder / "nevlp_config.json").write_text(json.dumps(stored))
    with pytest.raises(ModelError, match="does not fit"):
        open_model(str(folder))
    stored["format"] = 99
    (folder / "nevlp_config.json").write_text(json.dumps(stored))
    with pytest.raises(ModelError, match="format 99"):
        open_model(str(folder))


def test_concepts_of_another_model_are_refused(exported, tmp_path):
    _, _, folder = exported
    lines = (folder / "concepts.jsonl").read_text().splitlines()
    stored = json.loads(lines[0]) | {"fingerprint": "0" * 64}
    (folder / "concepts.jsonl").write_text(json.dumps(stored) + "\n")
    with pytest.raises(ModelError, match="thresholds do not fit"):
        open_model(str(folder))
    (folder / "concepts.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="line 1"):
        open_model(str(folder))


def test_settings_that_cannot_work_are_one_line():
    with pytest.raises(ConfigError, match="language_model is not set"):
        NevlpConfig().build()
    with pytest.raises(ConfigError, match="has no weights"):
        tiny_nevlp(image_tower=OpenClipConfig(name="vlsuite-tiny-32"))
    with pytest.raises(ModelError, match="no patch tokens at layer -9"):
        tiny_nevlp(image_layer=-9)
    for wrong in ({"context_length": 2}, {"concept_dropout": 1.5}, {"token_smoothing": 1.0}):
        with pytest.raises(ConfigError):
            NevlpConfig(**wrong)


def test_generation_that_does_not_count_is_not_computed(monkeypatch):
    built = tiny_nevlp()
    built.prepare(NevlpObjectiveConfig(itg_weight=0.0).build())
    full = tiny_nevlp()
    wanted = output_of(full, tiny_batch(full))
    monkeypatch.setattr("vlsuite.models.nevlp.encoder.caption_losses", None)
    found = output_of(built, tiny_batch(built))
    torch.testing.assert_close(found[:-1], wanted[:-1])
    assert found.caption_losses.tolist() == [0.0, 0.0, 0.0]
    found.caption_losses.sum().backward()
    assert not built.encoder.to_language.weight.grad.any()
