"""The file of concepts, the words it is made of, and the tags that a CLIP gives."""

import json

import pytest
import torch

from data_pipelines.sources.source import Target
from data_pipelines.sources.synthetic import SyntheticSource
from tests.support.embeddings import random_pairs
from tests.support.exported_models import exported_model
from tests.support.tiny_models import register_architecture, tiny_model
from vlsuite.batches.concepts import (
    concept_text,
    frequent_words,
    read_concepts,
    write_concepts,
)
from vlsuite.cli.main import main
from vlsuite.errors import ConfigError, DataError
from vlsuite.models.dual_encoder.clip import Clip
from vlsuite.models.tagging import Tagger, ZeroShotTagger, calibrated

WORDS = ("cat", "dog", "hat", "fox", "grass", "photo")
SHARES = {word: 0.1 * number for number, word in enumerate(WORDS, start=1)}


@pytest.fixture
def clip(tmp_path) -> Clip:
    return tiny_model(register_architecture(tmp_path)).clip


def image_embeds(count: int = 200) -> torch.Tensor:
    return random_pairs(count, 24, seed=3).images.detach()


def test_thresholds_give_every_concept_its_share(clip):
    embeds = image_embeds()
    settings = calibrated(clip, SHARES, embeds, top=len(WORDS))
    tags = ZeroShotTagger(clip, settings).of_embeds(embeds)
    for word, share in SHARES.items():
        assert abs(sum(word in own for own in tags) / len(embeds) - share) < 0.011


def test_at_most_the_surest_concepts_are_kept(clip):
    embeds = image_embeds()
    settings = calibrated(clip, dict.fromkeys(WORDS, 0.5), embeds, top=2)
    tags = ZeroShotTagger(clip, settings).of_embeds(embeds)
    prompts = clip.embed_texts([f"a photo of {word}" for word in WORDS])
    for row, own in zip(embeds.double(), tags, strict=True):
        margins = {
            word: float(row @ prompt.double()) - threshold
            for word, prompt, threshold in zip(WORDS, prompts, settings.thresholds, strict=True)
        }
        above = [word for word, margin in margins.items() if margin > 1e-6]
        assert list(own) == sorted(above, key=lambda word: -margins[word])[:2]


def test_anything_that_names_concepts_is_a_tagger(clip):
    assert isinstance(ZeroShotTagger(clip, calibrated(clip, SHARES, image_embeds(), top=1)), Tagger)
    assert isinstance(lambda images: [("a detector's word",)] * len(images), Tagger)


def test_calibration_needs_words_pictures_and_a_share(clip):
    for shares, embeds in (
        ({}, image_embeds()),
        (SHARES, image_embeds()[:0]),
        ({"cat": 1.5}, image_embeds()),
        ({"cat": 0.0}, image_embeds()),
    ):
        with pytest.raises(ConfigError):
            calibrated(clip, shares, embeds, top=1)


def test_the_file_comes_back(clip, tmp_path):
    settings = calibrated(clip, SHARES, image_embeds(), top=3)
    path = tmp_path / "new" / "tags.jsonl"
    assert write_concepts(path, settings, [("u1", ("cat", "dog")), ("u2", ())]) == 2
    table = read_concepts(path)
    assert table.settings == settings
    assert (table["u1"], table["u2"], table["unknown"]) == (("cat", "dog"), (), ())
    assert len(table) == 2


def test_a_broken_line_is_named(clip, tmp_path):
    settings = calibrated(clip, SHARES, image_embeds(), top=3)
    path = tmp_path / "tags.jsonl"
    write_concepts(path, settings, [("u1", ("cat",))])
    path.write_text(path.read_text() + '{"uid": "u2"}\n')
    with pytest.raises(DataError, match="line 3"):
        read_concepts(path)
    path.write_text("")
    with pytest.raises(DataError, match="line 1"):
        read_concepts(path)
    with pytest.raises(DataError, match="vlsuite data concepts"):
        read_concepts(tmp_path / "none")


def test_words_are_counted_once_a_caption():
    captions = ["a red cat and a red dog", "the cat on a mat", "cat 12", "a photo of a cat"]
    assert frequent_words(captions, min_count=2) == {"cat": 1.0}
    found = frequent_words(captions, min_count=1)
    assert list(found)[:2] == ["cat", "dog"]
    assert found["dog"] == 0.25
    assert frequent_words([], min_count=1) == {}


def test_text_of_concepts():
    assert concept_text(("a", "b c")) == "objects: a, b c."
    assert concept_text(()) == ""


def test_the_command(tmp_path, capsys):
    shards = tmp_path / "shards"
    SyntheticSource(num_samples=30, side=16).build(Target(out_dir=shards, max_samples=20))
    model, out = exported_model(tmp_path / "model"), tmp_path / "tags.jsonl"
    common = ["data", "concepts", str(shards), "--model", str(model), "--out", str(out)]
    assert main([*common, "--from-captions", "20", "--share", "0.3"]) == 0
    assert "30 pictures" in capsys.readouterr().out
    assert "background" in read_concepts(out).settings.concepts
    words = tmp_path / "words.txt"
    words.write_text("circle\nsquare\n\ncircle\n")
    assert main([*common, "--concepts", str(words), "--top", "1", "--share", "0.5"]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()[1:]]
    assert read_concepts(out).settings.concepts == ("circle", "square")
    assert {len(row["concepts"]) for row in rows} == {0, 1}
    assert main([*common, "--from-captions", "99999"]) == 2
    assert "lower --from-captions" in capsys.readouterr().err
