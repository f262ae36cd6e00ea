import json
from pathlib import Path

import open_clip
import pytest
import torch

from tests.support.tiny_models import CAPTIONS, register_architecture, tiny_model, tiny_tokenizer
from vlsuite.batches.tokenizer import (
    END,
    START,
    CachedTokenizer,
    load_tokenizer,
    train_tokenizer,
)
from vlsuite.errors import DataError, ModelError


@pytest.fixture
def tokenizer_folder(tmp_path):
    return tiny_tokenizer(tmp_path / "tokenizer")


class CountingTokenizer:
    """Remembers what it was asked; ids are the text's length."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: list[str]) -> torch.Tensor:
        self.asked += texts
        return torch.tensor([[len(text), 0] for text in texts])


def test_the_same_captions_give_the_same_files(tmp_path):
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        train_tokenizer(iter(CAPTIONS), vocab_size=90, out_dir=folder, context_length=16)
    files = sorted(path.name for path in folders[0].iterdir())
    assert "tokenizer.json" in files
    for name in files:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_end_of_text_has_the_highest_id(tmp_path):
    size = train_tokenizer(CAPTIONS, vocab_size=90, out_dir=tmp_path, context_length=16)
    tokenizer = load_tokenizer("ViT-B-32", context_length=16, folder=str(tmp_path))
    vocabulary = tokenizer.base.tokenizer.get_vocab()
    assert max(vocabulary.values()) == vocabulary[END] == size - 1
    assert size <= 90


def test_ids_are_start_words_end_padding(tokenizer_folder):
    ids = load_tokenizer("ViT-B-32", context_length=16, folder=tokenizer_folder)(["a cat", ""])
    vocabulary = load_tokenizer(
        "ViT-B-32", context_length=16, folder=tokenizer_folder
    ).base.tokenizer.get_vocab()
    assert ids.shape == (2, 16)
    assert ids[0, 0] == vocabulary[START]
    assert ids[1].tolist() == [vocabulary[START], vocabulary[END]] + [0] * 14


def test_a_long_caption_still_ends_with_end_of_text(tokenizer_folder):
    ids = load_tokenizer("ViT-B-32", context_length=8, folder=tokenizer_folder)(["cat dog " * 30])
    assert int(ids.argmax()) == 7


def test_case_and_outer_spaces_do_not_matter(tokenizer_folder):
    tokenizer = load_tokenizer("ViT-B-32", context_length=16, folder=tokenizer_folder)
    first, second = tokenizer(["A Photo of a CAT", "  a photo of a cat "])
    assert torch.equal(first, second)


def test_no_captions(tmp_path):
    with pytest.raises(DataError, match="no captions"):
        train_tokenizer(["", "  "], vocab_size=90, out_dir=tmp_path, context_length=16)


def test_each_text_is_tokenized_once():
    counting = CountingTokenizer()
    tokenizer = CachedTokenizer(counting)
    assert tokenizer(["a", "bb", "a"])[:, 0].tolist() == [1, 2, 1]
    assert tokenizer(["bb", "ccc"])[:, 0].tolist() == [2, 3]
    assert counting.asked == ["a", "bb", "ccc"]


def test_a_full_cache_is_emptied_and_answers_stay_right():
    counting = CountingTokenizer()
    tokenizer = CachedTokenizer(counting, limit=2)
    for texts in (["a", "bb"], ["bb", "ccc"], ["a", "bb", "ccc"]):
        assert tokenizer(texts)[:, 0].tolist() == [len(text) for text in texts]


def test_changing_what_was_returned_does_not_change_the_cache():
    tokenizer = CachedTokenizer(CountingTokenizer())
    tokenizer(["bb"]).zero_()
    assert tokenizer(["bb"])[0, 0] == 2


def test_a_folder_without_tokenizer_is_one_clear_error(tmp_path):
    with pytest.raises(ModelError, match=r"model\.tokenizer"):
        load_tokenizer("ViT-B-32", context_length=16, folder=str(tmp_path))


@pytest.mark.parametrize("own_tokenizer", [True, False])
def test_trimmed_texts_have_the_embeddings_of_untrimmed_ones(
    tmp_path, tokenizer_folder, own_tokenizer
):
    name = register_architecture(tmp_path)
    tiny = tiny_model(name, tokenizer=tokenizer_folder if own_tokenizer else None)
    end = tiny.built.encoder.end_of_text
    assert end is not None
    ids = tiny.clip.tokenizer(["a cat", "the dog", ""])
    with torch.no_grad():
        whole = tiny.built.encoder(None, ids).text_embeds
        trimmed = tiny.built.encoder(None, end.cut(ids)).text_embeds
    assert end.cut(ids).shape[1] == 8 < ids.shape[1]
    # Softmax over 8 instead of 16 columns sums the same numbers, in another order at most.
    torch.testing.assert_close(trimmed, whole, rtol=0, atol=1e-6)
    assert (whole[0] - whole[1]).abs().max() > 1e-3


def test_texts_are_not_trimmed_where_padding_is_seen(tmp_path):
    text_cfg = {"no_causal_mask": True, "pool_type": "last"}
    name = register_architecture(tmp_path, "tiny-bidirectional", text_cfg=text_cfg)
    assert tiny_model(name).built.encoder.end_of_text is None


def test_a_model_folder_brings_the_cleaning_it_asks_for(tmp_path, tokenizer_folder):
    """open_clip's local-dir loader applies tokenizer_kwargs; so does ours for the same folder."""
    text_cfg = {
        "context_length": 16,
        "hf_tokenizer_name": "tokenizer",
        "tokenizer_kwargs": {"clean": "canonicalize"},
    }
    folder = Path(tokenizer_folder)
    description = {"model_cfg": {"embed_dim": 8, "vision_cfg": {}, "text_cfg": text_cfg}}
    (folder / "open_clip_config.json").write_text(json.dumps(description))
    name, captions = f"local-dir:{folder}", ["A cat, a dog!", "it's"]
    ours = load_tokenizer(name, context_length=16, folder=str(folder))
    assert torch.equal(ours(captions), open_clip.get_tokenizer(name)(captions))
    assert torch.equal(ours(captions), ours(["a cat a dog", "its"]))
