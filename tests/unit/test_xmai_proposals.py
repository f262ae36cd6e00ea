"""Words for gaps: whole ones, the same for any batch, and with the context they were asked in."""

from pathlib import Path

import pytest
import torch

from eval.errors import EvaluationError
from eval.xmai.proposals import (
    STOP_WORDS,
    Context,
    MaskedLmProposer,
    Proposal,
    VocabularyProposer,
    load_proposer,
    whole_words,
)
from tests.support.masked_models import random_masked_lm

_CAPTIONS = (
    "the red dog near the old house",
    "a small wooden chair and another small chair",
    "the blue bird sits on the striped cup",
    "unwooded houndless dogs were walking oldish",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_masked_lm(tmp_path_factory.mktemp("model") / "bert", _CAPTIONS)


@pytest.fixture(scope="module")
def proposer(folder: Path) -> MaskedLmProposer:
    found = load_proposer(str(folder))
    assert isinstance(found, MaskedLmProposer)
    return found


def _context(before: str = "the ", after: str = "dog", **fields) -> Context:
    plain = Context(before, after, frozenset(), {}, False)
    return plain._replace(**fields)


def test_probabilities_are_those_of_the_model(proposer: MaskedLmProposer, folder: Path) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForMaskedLM.from_pretrained(folder).eval()
    inputs = tokenizer("the [MASK] dog", return_tensors="pt")
    # [CLS] the [MASK] dog [SEP]: the boundaries are there, the gap is third
    assert tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])[0] == "[CLS]"
    with torch.no_grad():
        expected = model(**inputs).logits[0, 2].softmax(dim=0)
    found = proposer.propose([_context()], count=8)[0]
    assert len(found) == 8
    for word, p in found:
        assert p == pytest.approx(float(expected[tokenizer.get_vocab()[word]]), abs=2e-5)
    assert [p for _, p in found] == sorted((p for _, p in found), reverse=True)


def test_only_whole_words(proposer: MaskedLmProposer) -> None:
    words = [one.word for one in proposer.propose([_context()], count=500)[0]]
    assert {"red", "wooden", "dog"} <= set(words)
    assert all(word.isalpha() and word.islower() and len(word) > 2 for word in words)
    assert not STOP_WORDS & set(words)
    assert "another" not in words


def test_batches_do_not_matter(proposer: MaskedLmProposer) -> None:
    contexts = [_context(before=f"{'the old house near ' * n}the ") for n in range(9)]
    alone = [proposer.propose([context], count=5)[0] for context in contexts]
    together = proposer.propose(contexts, count=5)
    for one, other in zip(alone, together, strict=True):
        assert [w for w, _ in one] == [w for w, _ in other]
        assert [p for _, p in one] == pytest.approx([p for _, p in other], abs=2e-5)


def test_banned_words_do_not_come(proposer: MaskedLmProposer) -> None:
    first = proposer.propose([_context()], count=3)[0]
    banned = frozenset(one.word for one in first)
    second = proposer.propose([_context(banned=banned)], count=3)[0]
    assert len(second) == 3
    assert not banned & {one.word for one in second}


def test_restricted_to_what_was_seen(proposer: MaskedLmProposer) -> None:
    seen = {"red": 0.9, "dark skin tone": 0.8, "striped": 0.7, "b/w": 1.0}
    found = dict(proposer.propose([_context(seen=seen, is_restricted=True)], count=9)[0])
    assert set(found) == {"red", "striped", "dark skin tone"}
    assert found["dark skin tone"] == 0.0  # no single token
    assert found["red"] > 0


def test_special_tokens_in_a_caption_are_not_taken_for_the_gap(proposer: MaskedLmProposer) -> None:
    plain = proposer.propose([_context(before="the  ", after=" dog")], count=5)
    marked = proposer.propose([_context(before="the [MASK]", after="[SEP]dog")], count=5)
    assert marked == plain


def test_long_captions_keep_the_gap(proposer: MaskedLmProposer) -> None:
    long = "the old house near " * 60
    found = proposer.propose([_context(before=f"{long}the ", after=f"dog {long}")], count=5)[0]
    assert len(found) == 5


def test_vocabulary_proposes_what_was_seen_by_confidence() -> None:
    context = _context(seen={"red": 0.5, "wet": 0.9, "big": 0.5}, banned=frozenset({"wet"}))
    found = VocabularyProposer().propose([context], count=5)[0]
    assert found == [Proposal("big", 0.5), Proposal("red", 0.5)]


class _Vocabulary:
    all_special_ids = (0,)

    def __init__(self, *tokens: str) -> None:
        self._tokens = tokens

    def get_vocab(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self._tokens)}


@pytest.mark.parametrize(
    "tokens",
    [
        ("[CLS]", "red", "##wood", "Blue", "the", "it", "b2b"),
        ("<s>", "\u0120red", "wood", "\u0120Blue", "\u0120the", "\u0120it", "\u0120b2b"),
        ("<s>", "\u2581red", "wood", "\u2581Blue", "\u2581the", "\u2581it", "\u2581b2b"),
        ("<s>", "red</w>", "wood", "Blue</w>", "the</w>", "it</w>", "b2b</w>"),
    ],
    ids=["wordpiece", "byte-pair", "sentencepiece", "word-end"],
)
def test_whole_words_of_each_kind_of_vocabulary(tokens: tuple[str, ...]) -> None:
    assert whole_words(_Vocabulary(*tokens)) == {"red": 1}


def test_missing_model_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(EvaluationError) as caught:
        load_proposer(str(tmp_path))
    assert "model.safetensors" in str(caught.value)
    assert "\n" not in str(caught.value)
