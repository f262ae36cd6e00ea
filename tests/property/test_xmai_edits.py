"""What was added to a text is found wherever it was put."""

from hypothesis import given
from hypothesis import strategies as st

from eval.metrics.edits import (
    edit_distance,
    inserted_places,
    is_subsequence,
    new_spans,
    space_words,
)

_TEXT = st.lists(st.sampled_from(["a", "man", "on", "Red", "\u00e9t\u00e9", "x."]), max_size=8)


@given(_TEXT, st.lists(st.tuples(st.integers(0, 8), st.sampled_from(["a", "new"])), max_size=4))
def test_insertions_are_counted(words: list[str], added: list[tuple[int, str]]) -> None:
    changed = list(words)
    for place, word in added:
        changed.insert(min(place, len(changed)), word)
    before, after = space_words(" ".join(words)), space_words("  ".join(changed))
    assert is_subsequence(before, after)
    places = inserted_places(before, after)
    assert len(places) == len(added) == edit_distance(before, after)
    assert [w for i, w in enumerate(after) if i not in places] == before


@given(_TEXT, _TEXT)
def test_spans_of_new_words(before: list[str], after: list[str]) -> None:
    changed = "  ".join(after)
    spans = new_spans(" ".join(before), changed)
    assert all(0 <= start < end <= len(changed) for start, end in spans)
    kept = changed
    for start, end in reversed(spans):
        kept = kept[:start] + kept[end:]
    assert is_subsequence(kept.split(), before)
