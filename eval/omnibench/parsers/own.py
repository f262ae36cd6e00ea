"""What a response to a multiple-choice question answers; None rather than a guess.

Rules, the first that decides:

1. Thinking between <think> tags does not count; an unfinished one leaves nothing to read.
2. The whole response is one letter (any case, any brackets or marks) or the text of one option.
3. The last stated answer: "the answer is C", "ANSWER: C", "I choose option C", a boxed letter, a
   letter alone on the last line, or the same with an option's text. "Not C" states nothing; "B or
   C" states that there is none.
4. A response that declines ("cannot", "unable", "sorry") has no answer.
5. Letters that stand as labels ("(C)", "**C**", "option C", "C." at the start of a line), without
   those that are rejected ("not B", "(A) is wrong"): if one remains, that. Labels that are called
   right ("option D is correct") come before all others.
6. Texts of options named in the response, again without rejected ones: if one remains, that.

The article "A" and the pronoun "I" are letters of options only where they cannot be words.
"""

from collections.abc import Iterator, Sequence

from eval.omnibench.parsers.patterns import (
    AFFIRMED_AFTER,
    BOXED,
    CONTINUES,
    DECLINES,
    DOUBTED_BEFORE,
    LABEL,
    LETTER,
    LINE_LETTER,
    NEGATED_AFTER,
    NEGATED_BEFORE,
    OPENERS,
    OTHER_LETTER,
    STATED,
    THOUGHT_END,
    THOUGHT_START,
    normalised,
    plain,
    without_marks,
)
from eval.omnibench.parsers.registry import parsers

#: Characters after a statement in which its answer must begin.
_REACH = 400

#: From the end; further ones above do not count.
_MAX_STATEMENTS = 200

#: More labels than this enumerate; nobody rejects a thousand options one by one.
_MAX_LABELS = 1000


@parsers.register("vlsuite")
def parse_own(text: str, options: Sequence[str]) -> int | None:
    """The number of the option that the response chooses, None where it chooses none or several."""
    text = _after_thinking(normalised(text)).strip()
    if not text or not options:
        return None
    bare = LINE_LETTER.fullmatch(text)
    if bare:
        return _number(bare.group(1), options)
    texts = [plain(option) for option in options]
    whole = plain(text)
    if texts.count(whole) == 1:
        return texts.index(whole)
    for is_spelled, number in _statements(text, texts):
        if is_spelled:
            return number
    if DECLINES.search(text):
        return None
    labels = _labels(text, len(options))
    if labels:
        return _only(labels)
    return _only(_named(whole, texts))


def _after_thinking(text: str) -> str:
    ends = list(THOUGHT_END.finditer(text))
    rest = text[ends[-1].end() :] if ends else text
    start = THOUGHT_START.search(rest)
    return rest[: start.start()] if start else rest


def _statements(text: str, texts: Sequence[str]) -> Iterator[tuple[bool, int | None]]:
    """Whether each statement names an option, and which (None: several); the last one first."""
    last = text[text.rstrip().rfind("\n") + 1 :]
    alone = LINE_LETTER.fullmatch(last.strip()) if last != text else None
    if alone and _number(alone.group(1), texts) is not None:
        yield True, _number(alone.group(1), texts)
    places = [(found.end(), found.start(), None) for found in STATED.finditer(text)]
    places += [(found.end(), found.start(), found.group(1)) for found in BOXED.finditer(text)]
    for end, start, boxed in sorted(places, key=lambda place: place[0])[
        : -_MAX_STATEMENTS - 1 : -1
    ]:
        if boxed is None and DOUBTED_BEFORE.search(text[max(0, start - 40) : start]):
            continue
        rest = text[end : end + _REACH] if boxed is None else boxed
        yield _spelled_or_named(OPENERS.sub("", rest, count=1), texts)


def _spelled_or_named(rest: str, texts: Sequence[str]) -> tuple[bool, int | None]:
    """Whether ``rest`` begins with an answer, and which option it is."""
    words = plain(rest)
    begun = [i for i, text in enumerate(texts) if len(text) > 1 and _begins(words, text)]
    if begun:
        return True, max(begun, key=lambda i: len(texts[i]))
    letter = LETTER.match(rest)
    if not letter or not _is_label(letter.group(1), rest[letter.end() :]):
        return False, None
    number = _number(letter.group(1), texts)
    if number is None:
        return False, None
    other = OTHER_LETTER.match(rest, letter.end())
    if other and _number(other.group(1), texts) not in (None, number):
        is_rejected = NEGATED_AFTER.match(rest, other.end()) is not None
        return True, number if is_rejected else None
    return True, number


def _is_label(letter: str, rest: str) -> bool:
    """Whether a letter that a statement is followed by is no word of a sentence.

    Small letters end what they stand in; "A" and "I" are followed by no noun.
    """
    if rest[:1] not in ("", " ", "\n", "\t"):
        return True
    following = rest.split(maxsplit=1)
    on_line = rest.split("\n", 1)[0].strip()
    if not following or not on_line:
        return True
    if letter in "BCDEFGHJKLMNOPQRSTUVWXYZ":
        return True
    return letter.isupper() and CONTINUES.match(on_line) is not None


def _labels(text: str, count: int) -> set[int]:
    """Options named by labels: those called right, else those that are not rejected."""
    chosen: set[int] = set()
    affirmed: set[int] = set()
    rejected: set[int] = set()
    for seen, found in enumerate(LABEL.finditer(text)):
        if seen == _MAX_LABELS:
            break
        letter = next(group for group in found.groups() if group)
        if found.lastgroup == "line" and not _is_label(letter, text[found.end() :][:80]):
            continue
        number = _number(letter, range(count))
        if number is not None:
            is_rejected = _is_rejected(text, found.start(), found.end())
            (rejected if is_rejected else affirmed).add(number)
            if AFFIRMED_AFTER.match(without_marks(text[found.end() : found.end() + 60])):
                chosen.add(number)
    return chosen or affirmed - rejected


def _named(words: str, texts: Sequence[str]) -> set[int]:
    """Options whose text stands in the response as whole words, outside of longer ones."""
    padded = f" {words} "
    for number in sorted(range(len(texts)), key=lambda i: -len(texts[i])):
        if len(texts[number]) > 1 and texts.count(texts[number]) == 1:
            padded = padded.replace(f" {texts[number]} ", f" \x00{number}\x00 ")
    affirmed = set()
    for number in range(len(texts)):
        mark = f"\x00{number}\x00"
        place = padded.find(mark)
        if place >= 0 and not _is_rejected(padded, place, place + len(mark)):
            affirmed.add(number)
    return affirmed


def _is_rejected(text: str, start: int, end: int) -> bool:
    before = without_marks(text[max(0, start - 40) : start])
    return NEGATED_BEFORE.search(before) is not None or (
        NEGATED_AFTER.match(without_marks(text[end : end + 60])) is not None
    )


def _begins(words: str, text: str) -> bool:
    return bool(text) and words.startswith(text) and words[len(text) : len(text) + 1] in ("", " ")


def _number(letter: str, options: Sequence) -> int | None:
    number = ord(letter.upper()) - ord("A")
    return number if number < len(options) else None


def _only(numbers: set[int]) -> int | None:
    return next(iter(numbers)) if len(numbers) == 1 else None
