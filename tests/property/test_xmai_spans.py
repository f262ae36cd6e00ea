"""Whatever the caption: without the inserted spans it is the original, and files keep it."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from eval.xmai.insertion import AttributeInserter, InsertionSettings
from eval.xmai.perturbing import insertions_between
from eval.xmai.records import Insertion, PerturbedCaption, caption_from_json, inserted, line_of
from eval.xmai.rule_nouns import rule_nouns
from tests.support.insertion_fakes import fake_tools, seen, table

_TEXT = st.text(st.characters(), max_size=40)  # surrogates too
_ENGLISH = st.lists(
    st.sampled_from(
        ["a", "an", "the", "dog", "Chair,", "it's", "woman's", "house.", "of", "ÉTÉ", "\u2028",
         "two", "red", "[MASK]", "t-shirt", "\n", "🙂"]
    ),
    max_size=12,
)  # fmt: skip


@given(_TEXT | st.builds(" ".join, _ENGLISH))
@settings(max_examples=150, deadline=None)
def test_insertion_only_for_any_text(caption: str) -> None:
    nouns = {noun.phrase for noun in rule_nouns([caption])[0]}
    detections = [one for name in sorted(nouns) for one in seen(name, "red", "old", "white")]
    chunk = table([caption], [detections]).chunk(0, 1, with_pictures=True)
    found = AttributeInserter(fake_tools(), InsertionSettings()).perturb(chunk)[0]
    assert found.original == caption
    assert found.restored() == caption
    assert caption_from_json(json.loads(line_of(found.to_json()))) == found


@given(_TEXT, st.lists(st.tuples(st.integers(0, 40), _TEXT), max_size=5))
def test_spans_anywhere_are_taken_out_again(original: str, spans: list[tuple[int, str]]) -> None:
    insertions = [
        Insertion(offset=min(offset, len(original)), text=text, word="w", noun="n", noun_offset=0)
        for offset, text in sorted(spans)
    ]
    caption = PerturbedCaption(
        uid="u",
        caption_number=0,
        original=original,
        perturbed=inserted(original, insertions),
        method="m",
        insertions=tuple(insertions),
    )
    assert caption.restored() == original
    assert len(caption.perturbed) == len(original) + sum(len(text) for _, text in spans)


@given(_TEXT | st.builds(" ".join, _ENGLISH), _TEXT | st.builds(" ".join, _ENGLISH))
def test_insertions_read_off_two_texts_restore_the_first(original: str, perturbed: str) -> None:
    insertions = insertions_between(original, perturbed)
    if insertions:
        assert inserted(original, insertions) == perturbed


@given(_ENGLISH, st.integers(0, 11))
def test_an_inserted_word_is_found(words: list[str], place: int) -> None:
    changed = [*(word for word in words if word.strip()), "end"]
    original = " ".join(changed)
    changed.insert(min(place, len(changed) - 1), "zzz")
    found = insertions_between(original, " ".join(changed))
    assert [one.word for one in found] == ["zzz"]
