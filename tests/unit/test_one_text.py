"""A bare str is one text, one path or one name wherever several may be given."""

import pytest

from data_pipelines.settings import apply_overrides
from data_pipelines.shards.find import find_shards
from data_pipelines.texts import listed
from eval.embedding.prompts import class_embeds
from eval.hub.similarity import load_similarity
from eval.metrics.captions import caption_scores
from eval.metrics.vqa_accuracy import vqa_accuracy
from eval.robustness import corruptions, perturbations
from tests.support.tiny_models import register_architecture, tiny_model
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.tokenizer import load_tokenizer, train_tokenizer


def test_listed_keeps_lists_and_never_takes_letters():
    assert listed("a cat") == ["a cat"]
    assert listed(("a", "b")) == ["a", "b"]
    assert listed(word for word in ("x", "y")) == ["x", "y"]
    assert listed([]) == []


def test_a_text_has_one_embedding(tmp_path):
    clip = tiny_model(register_architecture(tmp_path, "tiny-one-text")).clip
    assert clip.embed_texts("a cat").equal(clip.embed_texts(["a cat"]))
    assert clip.tokenizer("a cat").equal(clip.tokenizer(["a cat"]))
    whole = class_embeds(clip.embed_texts, ["cat"], ["a {c}."])
    assert class_embeds(clip.embed_texts, "cat", "a {c}.").equal(whole)


def test_a_vocabulary_of_one_text(tmp_path):
    for given, folder in (("a red cat", tmp_path / "one"), (["a red cat"], tmp_path / "list")):
        train_tokenizer(given, vocab_size=40, out_dir=folder, context_length=8)
    one, several = (
        load_tokenizer("x", context_length=8, folder=str(tmp_path / n)) for n in ("one", "list")
    )
    assert one("a red cat").equal(several("a red cat"))


def test_settings_and_paths(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(b"\0" * 1024)
    assert find_shards(str(path)) == find_shards([path]) == find_shards(path)
    assert apply_overrides(DataConfig(), "prefetch=9").prefetch == 9


@pytest.mark.parametrize("kinds_of", [corruptions.kinds_of, perturbations.kinds_of])
def test_names_of_corruptions(kinds_of):
    assert kinds_of("all") == kinds_of(["all"])


def test_metrics_of_one_text():
    assert vqa_accuracy("yes", "yes") == vqa_accuracy("yes", ["yes"]) == 1.0
    one, several = (caption_scores("a cat", [own], seed=0) for own in ("a cat", ["a cat"]))
    assert one.scores["rouge_l"].value == several.scores["rouge_l"].value == 1.0
    assert load_similarity("characters").matrix("cat", "cat").shape == (1, 1)
