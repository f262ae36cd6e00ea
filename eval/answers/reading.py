"""What a response to a multiple-choice question answers; None rather than a guess.

Rules, the first that decides:

1. Reasoning between tags does not count; unfinished reasoning leaves nothing to read.
2. The whole response is one letter (any case, any brackets or marks) or the text of one option.
3. The last statement: "the answer is C", "I choose option C", "C is correct", a box, tag or JSON
   key, a letter or a text alone in its sentence, a letter at the very beginning. What is denied
   ("not C"), supposed ("if it were C"), asked ("C?") or said by others states nothing; "B or C"
   states that there is none. Two statements that differ, without a correction or a new line
   between them, give none; neither does one that is taken back.
4. What is only supported ("C fits", "it sounds like a violin"), if that is one option.
5. A response that declines ("cannot", "none of the above") has no answer.
6. In a short response, what is named and not denied: labels, then texts, then numbers; if one
   remains, that.

A letter that is one option's place and another one's text is no answer. Words and names with a
letter ("a man", "vitamin C", "C++", "B flat") are no letters of options.
"""

import re
from collections.abc import Callable, Sequence
from string import ascii_uppercase as LETTERS

from eval.answers.cleaning import CLOSE, OPEN, final_text, normalised
from eval.answers.mentions import with_mentions
from eval.answers.statements import (
    Statement,
    declines,
    is_label,
    is_measure,
    is_number,
    is_text,
    none_option,
    statements,
)
from eval.answers.tokens import loosely, tokens

_SPACE = re.compile(r"\s+")
_OUTER = " \t\n\"'`*()[]{}.,;:!\u3002" + OPEN + CLOSE
_LONE_LETTER = re.compile(r"(?:(?!\?)[\W_]){0,40}([A-Za-z])(?:(?!\?)[\W_]){0,40}")

#: Words of a response in which a mere mention counts.
_SHORT = 40

#: Words of a response in which a mere number counts.
_VERY_SHORT = 12


def chosen_option(text: str, options: Sequence[str], *, has_letters: bool = True) -> int | None:
    """The number of the option that the response chooses, None where it chooses none or several.

    Args:
        text: what a model wrote.
        options: their texts, without letters.
        has_letters: whether the options were shown with letters, so that "B" is the second.
    """
    if not options:
        return None
    text = final_text(text)
    texts = [normalised(option).strip() for option in options]
    if not text.strip(_OUTER + "?"):
        return None
    is_whole, number = _whole(text, texts, has_letters=has_letters)
    if is_whole:
        return number
    marked = with_mentions(text, texts, has_letters=has_letters)
    found = _without_lists(statements(marked))
    is_decided, number = _stated(found, none=none_option(texts))
    if is_decided:
        return number
    number = _only(found, "supported")
    if number is None and not declines(marked):
        number = _named(found, num_words=len(text.split()))
    return None if number is None or _may_be_more(number, text, texts) else number


def _whole(text: str, texts: Sequence[str], *, has_letters: bool) -> tuple[bool, int | None]:
    """Whether the whole response is a letter or an option, and which (None: not clear)."""
    bare = [_plain(option) for option in texts]
    places = (
        _places(text.strip(), texts)
        or _places(_plain(text), bare)
        or _places(_plain(text).casefold(), [option.casefold() for option in bare])
    )
    lone = _LONE_LETTER.fullmatch(text) if has_letters else None
    if lone and not (places and len(texts[places[0]]) > 1):
        letter = lone.group(1).upper()
        place = LETTERS.index(letter)
        if place < len(texts):
            places = sorted({place, *places})
        elif not places:
            return True, None
    if not places:
        return False, None
    return True, places[0] if len(places) == 1 else None


def _plain(text: str) -> str:
    return _SPACE.sub(" ", text).strip(_OUTER)


def _places(text: str, texts: Sequence[str]) -> list[int]:
    return [place for place, option in enumerate(texts) if option == text] if text else []


def _stated(found: Sequence[Statement], none: int | None) -> tuple[bool, int | None]:
    """Whether the statements decide, and for which option (None: for none).

    Args:
        none: number of the option that says that no other one is right, if there is one.
    """
    spoken = [
        place for place, one in enumerate(found) if one.kind in ("stated", "alone", "led", "none")
    ]
    if not spoken:
        return False, None
    last = found[spoken[-1]]
    if last.kind == "none":
        return True, none if len(spoken) == 1 else None
    if len(last.options) != 1 or None in last.options:
        return True, None
    if any(_takes_back(later, last) for later in found[spoken[-1] + 1 :]):
        return True, None
    for place in spoken[:-1]:
        earlier = found[place]
        if (
            earlier.kind != "none"
            and earlier.options != last.options
            and not _outdoes(last, earlier, found[place + 1 : spoken[-1]])
        ):
            return True, None
    return True, next(iter(last.options))


def _without_lists(found: Sequence[Statement]) -> list[Statement]:
    """Options that stand alone in sentence after sentence are a list, of which none is stated."""
    kept: list[Statement] = []
    for place, one in enumerate(found):
        around = [*found[max(0, place - 1) : place], *found[place + 1 : place + 2]]
        is_listed = one.kind in ("alone", "led", "supported") and any(
            other.kind in ("alone", "led")
            and abs(other.sentence - one.sentence) == 1
            and other.options != one.options
            for other in around
        )
        is_listed = is_listed or (_begins_list(one) and any(map(_goes_on(one), found)))
        kept.append(one._replace(kind="listed") if is_listed else one)
    return kept


def _begins_list(one: Statement) -> bool:
    """Whether the response begins with a label that a description follows."""
    return one.kind == "led" and re.search(r"\w", one.after) is not None


def _goes_on(first: Statement) -> Callable[[Statement], bool]:
    return lambda one: (
        one.kind == "named"
        and is_label(one)
        and not one.before.strip()
        and one.options != first.options
    )


def _takes_back(later: Statement, last: Statement) -> bool:
    return later.kind == "withdrawn" or (
        later.kind == "denied" and bool(later.options & last.options)
    )


def _outdoes(last: Statement, earlier: Statement, between: Sequence[Statement]) -> bool:
    """Whether a later statement stands against an earlier, different one."""
    if last.concludes or last.line > earlier.line:
        return True
    return any(_takes_back(one, earlier) for one in between)


def _only(found: Sequence[Statement], kind: str) -> int | None:
    """The one option that all statements of a kind agree on and that is not denied as well."""
    options = {option for one in found if one.kind == kind for option in one.options}
    denied = {option for one in found if one.kind == "denied" for option in one.options}
    options -= denied
    return next(iter(options)) if len(options) == 1 else None


def _may_be_more(number: int, text: str, texts: Sequence[str]) -> bool:
    """Whether the response also has all other words of an option that contains the chosen one."""
    option, *others = [frozenset(map(loosely, tokens(one))) for one in (texts[number], *texts)]
    said = frozenset(map(loosely, tokens(text)))
    return any(option < other <= said for other in others)


def _named(found: Sequence[Statement], num_words: int) -> int | None:
    if num_words > _SHORT:
        return None
    named = [one for one in found if one.kind in ("named", "supported") and one.is_whole]
    denied = {
        option for one in found if one.kind in ("denied", "doubted") for option in one.options
    }
    labels = [one for one in named if is_label(one)]
    texts = [one for one in named if is_text(one)]
    numbers = [one for one in named if is_number(one)] if num_words <= _VERY_SHORT else []
    if any(map(is_measure, numbers)):
        return None
    for some in (labels, texts, numbers):
        options = {option for one in some for option in one.options} - denied
        if options:
            return next(iter(options)) if len(options) == 1 else None
    return None
