"""What a text with marked mentions says about options: stated, supported, denied, doubted, ""
""named."""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from eval.answers.cues import (
    AFFIRMS,
    ANYTHING_BUT,
    BREAK,
    CERTAIN,
    CONCLUDES,
    CORRECTS,
    DECLINES,
    DENIES,
    DOUBTS,
    DOUBTS_AFTER,
    ENDS,
    GROUP,
    HARD_BREAK,
    HEDGES,
    IS,
    MEASURES,
    NEGATES,
    NEGATES_NEXT,
    NO_OPTION_RIGHT,
    NONE,
    ONLY_FILL,
    SENTENCE_END,
    STATES,
    SUPPORTS,
    WITHDRAWS,
)
from eval.answers.mentions import (
    LABEL,
    LETTER,
    MENTION,
    NUMBER,
    TEXT,
    UNCLEAR,
    is_form,
    option_of,
)

#: "stated": the answer is said; "alone": nothing else in its sentence; "led": the response begins
#: with it; "supported": "fits", "it sounds like"; "named": no more than that; "withdrawn": what was
#: said before is taken back; "none": no option is right; "listed": one of several in a row.
Kind = Literal[
    "stated",
    "alone",
    "led",
    "supported",
    "named",
    "denied",
    "doubted",
    "withdrawn",
    "none",
    "listed",
]

#: Characters around a mention that are read.
_BEFORE, _AFTER = 160, 100

#: Mentions that are read; further ones enumerate.
_MAX_SENTENCES = 600
_MAX_MENTIONS = 40


_BREAK_SIGNS = ",;:)\uff0c\u3001\u2014\u2013-\ue000 "
_FULL_STOPS = tuple(".!\"')]:\u3002\u0964\ue001")


class Statement(NamedTuple):
    """What one sentence says about one mention or several joined ones.

    Attributes:
        kind: see ``Kind``.
        options: numbers of the options, None for a label that is none or unclear.
        sentence: its number in the text.
        line: number of the line it stands in.
        form: sign of the first mention, empty where there is none.
        concludes: whether its sentence draws a conclusion or corrects an earlier one.
        before: what stands before the mention in its sentence.
        after: what stands after it.
        is_whole: whether its sentence ends with a mark, or is all there is.
    """

    kind: Kind
    options: frozenset[int | None]
    sentence: int
    line: int
    form: str = ""
    concludes: bool = False
    before: str = ""
    after: str = ""
    is_whole: bool = True


def statements(marked: str) -> list[Statement]:
    """All statements in order; the first and the last sentences of very many."""
    found: list[Statement] = []
    sentences = _sentences(marked)
    for number, (sentence, line) in enumerate(sentences):
        if re.search(MENTION, sentence):
            is_whole = len(sentences) == 1 or sentence.endswith(_FULL_STOPS)
            found += [one._replace(is_whole=is_whole) for one in _read(sentence, number, line)]
        elif NONE.match(sentence) or NO_OPTION_RIGHT.search(sentence):
            found.append(Statement("none", frozenset(), number, line))
        elif WITHDRAWS.search(sentence):
            found.append(Statement("withdrawn", frozenset(), number, line))
    return found


def _sentences(text: str) -> list[tuple[str, int]]:
    """Each sentence with the number of its line."""
    found: list[tuple[str, int]] = []
    place = line = 0
    for end in SENTENCE_END.finditer(text):
        if text[place : end.end()].strip():
            found.append((text[place : end.end()].strip(), line))
        line += text.count("\n", end.start(), end.end())
        place = end.end()
    if text[place:].strip():
        found.append((text[place:].strip(), line))
    half = _MAX_SENTENCES // 2
    return found if len(found) <= _MAX_SENTENCES else found[:half] + found[-half:]


def _read(sentence: str, number: int, line: int) -> list[Statement]:
    groups = list(GROUP.finditer(sentence))
    half = _MAX_MENTIONS // 2
    if len(groups) > _MAX_MENTIONS:
        groups = groups[:half] + groups[-half:]
    found: list[Statement] = []
    for group in groups:
        before = sentence[max(0, group.start() - _BEFORE) : group.start()]
        after = sentence[group.end() : group.end() + _AFTER]
        kind = _kind(sentence, before, group.group()[0], after, number)
        if kind == "named" and found and found[-1].kind == "denied" and _is_rest(before, after):
            kind = "stated"
        options = frozenset(option_of(sign) for sign in re.findall(MENTION, group.group()))
        concludes = CORRECTS.search(before) is not None
        found.append(
            Statement(kind, options, number, line, group.group()[0], concludes, before, after)
        )
    return found


def _is_rest(before: str, after: str) -> bool:
    """Whether nothing else stands between the last break and the end: "not B, D"."""
    return all(ONLY_FILL.fullmatch(part) for part in (_last_clause(before), after))


def _kind(sentence: str, before: str, sign: str, after: str, number: int) -> Kind:
    after = CERTAIN.sub(" ", after)
    before = ANYTHING_BUT.sub("not", CERTAIN.sub(" ", before))
    clause = _last_clause(before)
    if _is_denied(clause, after):
        return "denied"
    if _is_doubted(sentence, before, clause, after):
        return "doubted"
    is_sure = is_form(sign, LABEL)
    if STATES.search(before) and (is_sure or ENDS.match(after)):
        return "stated"
    if AFFIRMS.match(after):
        return "stated"
    if ONLY_FILL.fullmatch(before) and ONLY_FILL.fullmatch(after):
        return "led" if number == 0 else "alone"
    if CONCLUDES.search(clause) and ENDS.match(after):
        return "stated"
    is_letter = is_sure or is_form(sign, LETTER)
    if number == 0 and is_letter and ONLY_FILL.fullmatch(before) and (is_sure or ENDS.match(after)):
        return "led"
    if (IS.search(clause) and ENDS.match(after)) or SUPPORTS.match(after):
        return "supported"
    return "named"


def _last_clause(before: str) -> str:
    """What stands between the last break, or mention, and the end."""
    start = 0
    for end in BREAK.finditer(before):
        is_after_not = before[: end.start()].rstrip().lower().endswith(("not", "nicht"))
        if not before[end.end() :].strip(" \"'(") and is_after_not:
            continue
        start = end.end() if end.group()[:1] in _BREAK_SIGNS else end.start()
    last = start
    for mention in re.finditer(MENTION, before[start:]):
        last = start + mention.end()
    return before[last:]


def _is_denied(clause: str, after: str) -> bool:
    if NEGATES.search(clause):
        return True
    return DENIES.match(after) is not None and NEGATES_NEXT.match(after.lstrip()) is None


def _is_doubted(sentence: str, before: str, clause: str, after: str) -> bool:
    if sentence.rstrip("\"')] ").endswith("?"):
        return True
    breaks = list(HARD_BREAK.finditer(before))
    if DOUBTS.search(before[breaks[-1].end() :] if breaks else before):
        return True
    if HEDGES.search(clause):
        return True
    return DOUBTS_AFTER.match(after) is not None


def is_number(statement: Statement) -> bool:
    """Whether the first mention is a number that an option consists of."""
    return is_form(statement.form, NUMBER)


def is_measure(statement: Statement) -> bool:
    """Whether a unit stands after the mention, so that it counts nothing: "3 seconds"."""
    return MEASURES.match(statement.after) is not None


def is_label(statement: Statement) -> bool:
    """Whether the first mention is a letter as a label."""
    return is_form(statement.form, LABEL) or is_form(statement.form, UNCLEAR)


def is_text(statement: Statement) -> bool:
    """Whether the first mention is the text of an option, not a letter or a mere number."""
    return is_form(statement.form, TEXT)


def none_option(options: Sequence[str]) -> int | None:
    """The one option that says that no other one is right: "neither", "none of the above"."""
    found = [place for place, option in enumerate(options) if NONE.match(option)]
    return found[0] if len(found) == 1 else None


def declines(text: str) -> bool:
    """Whether a text says that there is no answer."""
    return DECLINES.search(text) is not None or NO_OPTION_RIGHT.search(text) is not None
