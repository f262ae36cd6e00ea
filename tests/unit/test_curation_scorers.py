"""Scorers give the numbers that their definitions give, batch by batch."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.support.coca_models import CAPTIONS, evaluated, pictures, tiny_coca
from tests.support.language_models import random_language_model
from vlsuite.errors import ConfigError, ModelError, UnknownNameError
from vlsuite.models.scorers.contract import SampleScorer, scorers
from vlsuite.models.scorers.linear_head import LinearHeadScorer, load_head
from vlsuite.models.scorers.perplexity import (
    PerplexitySettings,
    PicturePerplexity,
    TellsSurprise,
    is_language_model,
)
from vlsuite.models.shard_batches import SampleBatch

_TEXTS = ["a red dog", "dog", "two boats in the rain and a dog"]


class _Model:
    """Embeds pictures as they are."""

    fingerprint = "model"
    image_transform = staticmethod(torch.as_tensor)

    def embed_images(self, images):
        return images.float()

    def embed_texts(self, texts):
        raise AssertionError("a head on pictures reads no text")


def test_perplexity_is_that_of_the_formula_and_not_of_the_batch(tmp_path):
    """POINTS (arXiv 2409.04828): exp(-1/N sum_i log p(w_i | w_<i)), in loops over float64."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = random_language_model(tmp_path / "lm", _TEXTS * 5)
    assert is_language_model(str(folder))
    scorer = PerplexitySettings(max_tokens=5).build(str(folder), device="cpu")
    assert isinstance(scorer, SampleScorer)
    assert scorer.image_transform is None
    model = AutoModelForCausalLM.from_pretrained(folder).double().eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    expected = []
    for text in _TEXTS:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"][:5]
        total = 0.0
        for place, word in enumerate(ids):
            given = torch.tensor([[tokenizer.bos_token_id, *ids[:place]]])
            with torch.no_grad():
                total -= float(model(given).logits[0, -1].log_softmax(-1)[word])
        expected.append(math.exp(total / len(ids)))
    found = scorer.scores(SampleBatch([0, 1, 2], [], _TEXTS))
    np.testing.assert_allclose(found, expected, rtol=2e-4)
    alone = [scorer.scores(SampleBatch([0], [], [text]))[0] for text in _TEXTS]
    np.testing.assert_allclose(found, alone, rtol=1e-5)
    other = PerplexitySettings(max_tokens=6).build(str(folder), device="cpu")
    assert other.fingerprint != scorer.fingerprint


def test_a_captioner_is_shown_the_picture_and_an_empty_caption_has_no_score():
    class Captioner(_Model):
        def caption_surprise(self, images, texts):
            assert images.shape == (2, 3)
            return torch.tensor([math.log(7.0), math.nan])

    scorer = PicturePerplexity(Captioner())
    found = scorer.scores(SampleBatch([0, 1], [torch.zeros(3)] * 2, ["a", ""]))
    assert found[0] == pytest.approx(7.0)
    assert math.isnan(found[1])


@pytest.mark.parametrize("activation", ["none", "relu"])
def test_a_head_is_its_layers_in_their_order(tmp_path, activation):
    rng = np.random.default_rng(0)
    sizes, path = (4, 3, 2, 1), tmp_path / "head.safetensors"
    layers = [(rng.normal(size=(b, a)), rng.normal(size=b)) for a, b in pairwise(sizes)]
    tensors = {}
    for number, (weight, bias) in ((2, layers[1]), (10, layers[2]), (0, layers[0])):
        tensors[f"layers.{number}.weight"] = torch.tensor(weight)
        tensors[f"layers.{number}.bias"] = torch.tensor(bias)
    save_file(tensors, path, metadata={"activation": activation})
    scorer = LinearHeadScorer(_Model(), load_head(path), digest="d")
    pixels = rng.normal(size=(5, 4))
    expected = pixels
    for number, (weight, bias) in enumerate(layers):
        if number and activation == "relu":
            expected = np.maximum(expected, 0)
        expected = expected @ weight.T + bias
    batch = SampleBatch(list(range(5)), list(torch.tensor(pixels)), [])
    np.testing.assert_allclose(scorer.scores(batch), expected[:, 0], rtol=1e-4)
    with pytest.raises(ModelError, match="takes vectors of 4 numbers"):
        scorer.scores(SampleBatch([0], [torch.zeros(3)], []))


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"weight": torch.zeros(2, 4), "bias": torch.zeros(2)},
        {"weight": torch.zeros(1, 4), "bias": torch.zeros(1), "scale": torch.zeros(1)},
        {"a.weight": torch.zeros(1, 4), "b.bias": torch.zeros(1)},
    ],
)
def test_what_is_no_head_is_refused(tmp_path, tensors):
    save_file(tensors, tmp_path / "head.safetensors")
    with pytest.raises(ModelError, match="is no head"):
        load_head(tmp_path / "head.safetensors")


def test_scorers_are_found_by_name_and_say_what_they_lack(tmp_path):
    assert {"clip", "linear-head", "perplexity"} <= set(scorers.names())
    with pytest.raises(UnknownNameError, match="closest"):
        scorers.get("perplexty")
    with pytest.raises(ConfigError, match="--set head=FILE"):
        scorers.get("linear-head")().build("any", device="cpu")
    (tmp_path / "no.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError, match="cannot read the head"):
        load_head(tmp_path / "no.safetensors")


def test_a_cocas_surprise_is_that_of_its_own_next_words():
    """Each token of a caption given those before it and the picture, marks not counted."""
    model = evaluated(tiny_coca())
    images = pictures(2)
    texts = [CAPTIONS[0], "a small blue square"]
    encoder = model._writer
    with torch.no_grad():
        tokens = encoder.image_tokens(model.normalised(images))
    expected = []
    for picture, ids in zip(tokens, model.tokenizer(texts), strict=True):
        begin, end = model.tokenizer([""])[0, :2].tolist()
        words = ids[1 : ids.tolist().index(end)].tolist()
        total = 0.0
        for place, word in enumerate(words):
            given = torch.tensor([[begin, *words[:place]]])
            with torch.no_grad():
                logits = encoder.next_logits(picture[None], given)
            total -= float(logits[0].double().log_softmax(-1)[word])
        expected.append(total / len(words))
    found = model.caption_surprise(images, texts)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)
    assert math.isnan(float(model.caption_surprise(images[:1], [""])[0]))
    assert isinstance(model, TellsSurprise)
