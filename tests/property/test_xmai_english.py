"""Whatever stands before a noun: order, one use a caption, nothing else changed."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines.noise.phrases import WORD
from eval.xmai.adjective_order import ANYWHERE, Span, in_order, kind_of, stands_before
from eval.xmai.grammar import slips
from eval.xmai.insertion import AttributeInserter, InsertionSettings
from eval.xmai.matching import nouns_in
from eval.xmai.negation import denied
from eval.xmai.placing import Draft
from eval.xmai.random_attribute import RandomAttribute
from eval.xmai.rule_nouns import rule_nouns
from tests.support.insertion_fakes import fake_tools, seen, table

_WORDS = ("lovely", "large", "small", "dirty", "round", "old", "red", "blue", "striped", "wooden",
          "metal", "orange", "cooking")  # fmt: skip
_ADJECTIVES = st.lists(st.sampled_from(_WORDS), max_size=4, unique=True)
_PHRASES = st.builds(
    lambda start, own, noun: f"{start} {' '.join([*own, noun])}",
    st.sampled_from(["the", "two", "his", "with no", "A"]),
    _ADJECTIVES,
    st.sampled_from(["chair", "police officers", "woman's hat", "t-shirt", "dogs"]),
)
_CAPTIONS = st.lists(_PHRASES, min_size=1, max_size=4).map(" and ".join)


def _in_order(words: list[str]) -> bool:
    return all(
        in_order(first, second) is not False
        for i, first in enumerate(words)
        for second in words[i + 1 :]
    )


@given(st.lists(st.sampled_from(_WORDS), min_size=2, max_size=2, unique=True))
def test_order_is_the_same_from_both_sides(pair: list[str]) -> None:
    first, second = pair
    forward, backward = in_order(first, second), in_order(second, first)
    assert backward == (None if forward is None else not forward)


@given(st.permutations(_WORDS))
def test_sorting_by_kind_is_idempotent_and_keeps_the_order(words: list[str]) -> None:
    once = sorted(words, key=lambda word: kind_of(word) or ANYWHERE)
    assert sorted(once, key=lambda word: kind_of(word) or ANYWHERE) == once
    assert _in_order(once)


@given(st.sampled_from([kind_of(word) or ANYWHERE for word in _WORDS]))
def test_nothing_stands_before_its_own_kind(span: Span) -> None:
    assert stands_before(span, span) is None


@given(_ADJECTIVES, st.sampled_from(_WORDS))
def test_a_word_keeps_an_order_that_was_there(own: list[str], word: str) -> None:
    ordered = sorted(own, key=lambda one: kind_of(one) or ANYWHERE)
    caption = " ".join(["the", *ordered, "chair"])
    fit = Draft(caption, (), nouns_in([caption], rule_nouns)[0][0]).fit(word)
    if fit:
        found = fit.sentence.split()[1:-1]
        assert _in_order(found)
        assert Counter(found) == Counter([*ordered, word])


@given(_CAPTIONS, st.sampled_from([str, str.upper, str.title]))
@settings(max_examples=150, deadline=None)
def test_captions_grow_by_their_insertions_alone(caption: str, change) -> None:
    caption = change(caption)
    names = {noun.phrase for noun in rule_nouns([caption.lower()])[0]}
    detections = [one for name in sorted(names) for one in seen(name, *_WORDS)]
    chunk = table([caption], [detections]).chunk(0, 1, with_pictures=True)
    matcher = fake_tools().matcher
    for method in (
        AttributeInserter(fake_tools(), InsertionSettings(max_insertions=9)),
        RandomAttribute(matcher, seed=0, blocked=frozenset()),
    ):
        found = method.perturb(chunk)[0]
        assert found.restored() == caption
        before, after = WORD.findall(caption), WORD.findall(found.perturbed)
        assert len(after) == len(before) + len(found.insertions)
        added = Counter(word.lower() for word in after)
        assert all(added[one.word] == 1 for one in found.insertions)
        assert not slips(found.perturbed) - slips(caption)
        parts = denied(caption)
        assert not any(p.start < o.noun_offset < p.end for o in found.insertions for p in parts)
