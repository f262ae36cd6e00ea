"""The corrected algorithm on fakes: what each part is asked, and what comes out."""

from collections.abc import Sequence

import pytest

from eval.xmai.detections import Detection
from eval.xmai.insertion import AttributeInserter, InsertionSettings
from eval.xmai.objective import Weights
from eval.xmai.records import PerturbedCaption
from tests.support.insertion_fakes import FakeProposer, FakeScorer, FakeTagger, fake_tools, seen
from tests.support.insertion_fakes import table as table_of


def _perturbed(
    caption: str, detections: Sequence[Detection], tools=None, **settings
) -> PerturbedCaption:
    source = table_of([caption], [detections])
    inserter = AttributeInserter(tools or fake_tools(), InsertionSettings(**settings))
    return inserter.perturb(source.chunk(0, 1, with_pictures=True))[0]


def test_inserts_before_the_noun_and_comes_back() -> None:
    found = _perturbed("A  chair\tnear the dog!", [*seen("chair", "red"), *seen("dog", "wet")])
    assert found.perturbed == "A  red chair\tnear the wet dog!"
    assert found.restored() == found.original
    assert [(one.noun, one.noun_offset, one.text) for one in found.insertions] == [
        ("chair", 3, "red "),
        ("dog", 18, "wet "),
    ]
    assert all(one.supported for one in found.insertions)


def test_earlier_words_are_in_the_context_and_no_mask_is_left() -> None:
    proposer, scorer = FakeProposer(), FakeScorer()
    tools = fake_tools(proposer=proposer, scorer=scorer)
    _perturbed("a chair near the dog", [*seen("chair", "red"), *seen("dog", "wet", "big")], tools)
    assert proposer.asked[1].before == "a red chair near the "
    assert proposer.asked[1].after == "dog"
    assert scorer.sentences == [
        "a red chair near the dog",
        *(f"a red chair near the {word} dog" for word in _order(proposer, ("wet", "big"))),
    ]


def _order(proposer: FakeProposer, words: Sequence[str]) -> list[str]:
    return [one.word for one in proposer._words(proposer.asked[1]) if one.word in words]


def test_neighbouring_words_are_banned() -> None:
    proposer = FakeProposer()
    _perturbed("so small and old house", seen("house", "red"), fake_tools(proposer=proposer))
    assert proposer.asked[0].banned >= {"house", "small", "and"}


def test_weights_choose_between_the_scores() -> None:
    detections = seen("chair", "red", "blue", "wooden")
    by_p = _perturbed("the chair", detections, weights=Weights(1.0, 0.0, 0.0))
    candidates = by_p.insertions[0].candidates
    assert by_p.insertions[0].word == max(candidates, key=lambda one: one.p).word
    by_d = _perturbed("the chair", detections, weights=Weights(0.0, 0.0, 1.0))
    assert by_d.insertions[0].word == max(candidates, key=lambda one: one.d).word
    turned = _perturbed("the chair", detections, weights=Weights(0.0, 0.0, -1.0))
    assert turned.insertions[0].word == min(candidates, key=lambda one: one.d).word
    assert [one.s for one in candidates] == sorted((one.s for one in candidates), reverse=True)


def test_only_confident_attributes_are_true() -> None:
    weak = seen("chair", "red", confidence=0.29)
    assert not _perturbed("the chair", weak, confidence=0.3).is_changed
    assert _perturbed("the chair", weak, confidence=0.2).is_changed


def test_truth_none_says_what_is_unsupported() -> None:
    proposer = FakeProposer(["blue"])
    found = _perturbed(
        "the chair", seen("chair", "red"), fake_tools(proposer=proposer), truth="none"
    )
    assert found.insertions[0].supported is False
    unseen = _perturbed("the chair", seen("chair", ""), fake_tools(proposer=proposer), truth="none")
    assert unseen.insertions[0].supported is None


def test_truth_clip_keeps_what_the_tagger_supports() -> None:
    tools = fake_tools(tagger=FakeTagger(["wooden"]))
    found = _perturbed("the chair", seen("chair", "red"), tools, truth="clip")
    assert [one.word for one in found.insertions[0].candidates] == ["wooden"]
    assert found.insertions[0].supported is True
    nothing = fake_tools(tagger=FakeTagger([]))
    assert not _perturbed("the chair", seen("chair", "red"), nothing, truth="clip").is_changed


def test_fourth_term_is_the_support() -> None:
    tools = fake_tools(tagger=FakeTagger(["striped"]))
    found = _perturbed(
        "the chair",
        seen("chair", "red"),
        tools,
        truth="none",
        k=8,
        weights=Weights(0.0, 0.0, 0.0, 1.0),
    )
    assert found.insertions[0].word == "striped"
    assert found.insertions[0].candidates[0].t == 0.9


def test_at_most_so_many_insertions() -> None:
    detections = [*seen("chair", "red"), *seen("dog", "wet"), *seen("cup", "blue")]
    caption = "the chair, the dog, the cup"
    assert len(_perturbed(caption, detections, max_insertions=2).insertions) == 2
    assert not _perturbed(caption, detections, max_insertions=0).insertions


def test_capital_moves_to_the_inserted_word_only() -> None:
    assert _perturbed("Chair by the wall", seen("chair", "red")).perturbed == (
        "Red Chair by the wall"
    )
    assert _perturbed("DVD chair", seen("DVD chair", "red")).perturbed == "red DVD chair"


def test_nothing_to_do_leaves_the_caption() -> None:
    assert _perturbed("", seen("chair", "red")).perturbed == ""
    assert _perturbed("the chair", ()).perturbed == "the chair"
    assert _perturbed("an apple", seen("apple", "red")).perturbed == "an apple"


def test_pictures_that_cannot_be_decoded_leave_the_caption() -> None:
    source = table_of(["the chair"], [seen("chair", "red")])
    chunk = source.chunk(0, 1, with_pictures=True)._replace(pictures=(b"broken",))
    found = AttributeInserter(fake_tools(), InsertionSettings()).perturb(chunk)
    assert not found[0].is_changed


@pytest.mark.parametrize("size", [1, 3, 40])
def test_any_chunk_size_gives_the_same(size: int) -> None:
    captions = [f"the chair near dog {n}" for n in range(40)]
    detections = [[*seen("chair", "red", "blue"), *seen("dog", "wet", "old", "big")]] * 40
    source = table_of(captions, detections)
    found = [
        caption
        for start in range(0, 40, size)
        for caption in AttributeInserter(fake_tools(), InsertionSettings()).perturb(
            source.chunk(start, start + size, with_pictures=True)
        )
    ]
    whole = AttributeInserter(fake_tools(), InsertionSettings()).perturb(
        source.chunk(0, 40, with_pictures=True)
    )
    assert found == whole
