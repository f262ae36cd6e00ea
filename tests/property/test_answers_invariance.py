# ruff: noqa: E501
"""What may be added to an answer, or exchanged in it, without changing what it chooses."""

from hypothesis import given, settings
from hypothesis import strategies as st

from eval.answers.reading import chosen_option
from tests.support.answer_cases import MEN, MOODS, SOUNDS

_LETTERS = "ABCD"
_PLACE = st.integers(0, 3)
_STATED = st.sampled_from(
    ["The answer is {}.", "I choose ({}).", "Answer: {}", "{} is correct.", "\\boxed{{{}}}", "**{}**",
     "So the best option is {}.", "\u7b54\u6848\u662f{}\u3002", "La r\u00e9ponse est {}.", "Die Antwort ist {}."]
)  # fmt: skip
_DENIED = st.sampled_from(
    ["It is not {}.", "Option {} is wrong.", "{} can be ruled out.", "I don't think it is {}.",
     "The answer is definitely not {}.", "\u4e0d\u662f{}\u3002", "Ce n'est pas {}.", "{} ist falsch."]
)  # fmt: skip
_IDLE = st.sampled_from(["I listened twice.", "A man can be seen.", "The room is dark.", ""])
_ANY_TEXT = st.text(
    st.sampled_from(list("ABCD abcd.,:?!()*\n\"'{}\\/<>\u7b54\u6848\u662f\u4e0d+#-%0123456789")),
    max_size=60,
)
_quick = settings(derandomize=True, max_examples=150, deadline=None)


@_quick
@given(_STATED, _DENIED, _PLACE, _PLACE, st.booleans())
def test_a_denied_letter_never_becomes_the_answer(stated, denied, right, wrong, is_first):
    if right == wrong:
        wrong = (right + 1) % 4
    parts = [stated.format(_LETTERS[right]), denied.format(_LETTERS[wrong])]
    text = " ".join(reversed(parts) if is_first else parts)
    assert chosen_option(text, MEN) in (None, right)
    assert chosen_option("\n".join(parts), MEN) == right


@_quick
@given(_STATED, _PLACE, _IDLE, _IDLE)
def test_idle_sentences_change_nothing(stated, right, before, after):
    text = f"{before}\n{stated.format(_LETTERS[right])}\n{after}"
    assert chosen_option(text, MEN) == right


@_quick
@given(
    st.permutations(range(4)), st.sampled_from([MEN, MOODS, SOUNDS]), _PLACE,
    st.sampled_from(["{}", "The answer is: {}", "**{}**", "I think it is: {}."]),
)  # fmt: skip
def test_options_in_another_order_move_the_answer(order, options, right, stated):
    text = stated.format(options[right].rstrip("."))
    moved = [options[place] for place in order]
    assert chosen_option(text, options) == right
    assert chosen_option(text, moved) == order.index(right)


@_quick
@given(_PLACE, _PLACE, st.sampled_from(["{} or {}", "The answer is {} or {}.", "({}) and ({})",
                                       "The answer is {}. The answer is {}.", "{}/{}"]))  # fmt: skip
def test_two_committed_options_give_none(first, second, joined):
    found = chosen_option(joined.format(_LETTERS[first], _LETTERS[second]), MEN)
    assert found is None or first == second == found


@_quick
@given(_ANY_TEXT, _PLACE)
def test_the_last_line_decides_after_anything(text, right):
    found = chosen_option(f"{text}\n\nFinal answer: {_LETTERS[right]}", MEN)
    assert found in (None, right)


@_quick
@given(_ANY_TEXT, st.lists(_ANY_TEXT, max_size=6))
def test_anything_is_read_without_a_fault(text, options):
    found = chosen_option(text, options)
    assert found is None or 0 <= found < len(options)
    assert chosen_option(f"<think>{text}", options) is None or "<" in text


@_quick
@given(_ANY_TEXT)
def test_reasoning_before_an_answer_does_not_count(text):
    assert chosen_option(f"<think>{text}</think>(C)", MEN) == 2 or "<" in text or ">" in text
