# ruff: noqa: RUF001, SIM905
"""Where a text names options: each mention becomes one sign that tells the option and the form.

The signs are private characters, so that expressions about what stands around a mention need not
know letters or texts of options: "I think it is (C)." becomes "I think it is \\ue102.".
"""

import re
from collections.abc import Mapping, Sequence
from string import ascii_uppercase as LETTERS
from typing import NamedTuple

from eval.answers.tokens import Token, is_number, loosely, tokens

#: First sign of each form; the number of the option is added.
LABEL, LETTER, TEXT, NUMBER, UNCLEAR = 0xE100, 0xE200, 0xE300, 0xE400, 0xE500

#: Options beyond these are not told apart.
_MAX_OPTIONS = 250

#: A label that no option has, "(F)" of four; a letter that is two options.
NO_OPTION = chr(UNCLEAR + 255)

MENTION = "[\ue100-\ue5ff]"

#: Letters of the scripts that stand between spaces.
_BESIDE = r"A-Za-z0-9\u00c0-\u024f\u0400-\u04ff"
_LABEL_WORD = (
    r"(?:options?|choices?|letter|answer|alternative|选项|選項|選択肢|옵션|보기|선택지|opci[óo]n|"
    r"op[çc][ãa]o|opzione|"
    r"lettre|letra|lettera|buchstabe|r[ée]ponse|antwort|respuesta|resposta|risposta|вариант|ответ|"
    r"se[çc]enek|[şs][ıi]k|alternativa|jawaban|pilihan|opsi|phương\sán|lựa\schọn|đáp\sán|"
    r"विकल्प|الخيار|الحرف)"
)
_NAMED_LETTER = re.compile(
    rf"(?<![{_BESIDE}])(?i:{_LABEL_WORD})(?:\s{{0,2}}[:\"'#-]\s?|\s{{1,2}}|"
    rf"(?<=[\u0900-\ud7af]))(?P<letter>[A-Z]|[a-z](?=\s?(?:[.,;:!?)\n]|$)|\s(?i:because|"
    rf"since|as|is)\b)|[b-hj-z](?=\s))"
    rf"(?![{_BESIDE}+#'\u266d-])"
)
_BRACKETED_LETTER = re.compile(
    rf"(?<![{_BESIDE}\\])(?:\(\s?([A-Za-z])\s?[.):]?\s?\)|\[\s?([A-Za-z])\s?\])"
)
_LINE_LABEL = re.compile(
    rf"^[ \t>\-*\u2022\ue000]{{0,8}}(?:(?P<big>[A-Z])\s?(?:[.):\u3001\u3002]|"
    rf"[-\u2013\u2014](?=\s)|(?=,\s))(?![A-Za-z]\.)"
    rf"|(?P<small>[a-z])\s?[.):](?=\s|$|\ue001|{MENTION})|"
    rf"(?P<only>[A-Za-z])[ \t]{{0,4}}[.!]?[ \t]{{0,4}}(?=\n|$|\ue001))",
    re.MULTILINE,
)
_INNER_LABEL = re.compile(
    r"(?<!Dr\.\s)(?<!Mr\.\s)(?<!Ms\.\s)(?<!St\.\s)(?<!Mrs\.\s)(?<!Prof\.\s)(?<=[.!?:;\u3002"
    r"\uff1a]\s)([A-Z])[.):](?=\s)"
)
_SMALL_AFTER_IS = re.compile(
    r"(?i:(?:[:=>\ue000]|\bans(?:wer)?\s-|\b(?:is|be|it's|ist|lautet|est|es|[ée]|[èé]|"
    r"является|to|adalah|là)|[是为选は은는])\s{0,3})"
    r"(?P<letter>[a-z])(?=\s{0,3}(?:[.!\u3002\ue001]\s{0,2}(?:\n|$|\s)|[\u3067\uc785]|\n|$)|"
    r"\s(?:because|since)\b)"
)
_SLASH = re.compile(r"(?<![\w/])([A-MO-Z])\s?/\s?(?=[A-Z](?!\w))")
_BARE_LETTER = re.compile(
    rf"(?<![{_BESIDE}+#&'./_$\u00b0-])(?P<letter>[A-Z])"
    rf"(?![{_BESIDE}+#&/\u266d]|'(?:s|m|re|ve|ll|d|t)\b|-[\w\s]?\w|\.[A-Za-z]|\s?\u266d)"
)
_NAME_BEFORE = re.compile(
    r"(?:\b(?:vitamin[ea]?|plan|hepatitis|grade|type|note|chord|key\sof|class|group|section|"
    r"series|exhibit|level|"
    r"team|row|seat|gate|appendix|phase|block|building|room|terminal|platform|"
    r"fig(?:ure)?\.?|panel|part|variable|"
    r"node|vertex|person|player|speaker|student|car|street|avenue|line|track|sample|label|"
    r"drive|size|cup|schedule|tier|division|league|factor|mr|mrs|dr|model|module|exit|zone|"
    r"wing|hall|column|"
    r"channel|side|scale|in|tone|pitch|category|mark\sof|(?<![éèàs]\s)an?)|"
    r"维生素|血型|类|型|甲|罩杯)\s?$",
    re.IGNORECASE,
)
_TITLE_BEFORE = re.compile(r"\b(?:mr|mrs|ms|dr|prof|st)\.\s$", re.IGNORECASE)
_NAME_AFTER = re.compile(
    r"\s(?:major|minor|sharp|flat|natural|cells?|programming|language|string|level|side|"
    r"team|grade|note|chord|roll|"
    r"section|movies?|film|minus|plus|students?|dur|moll|majeur|mineur|mayor|menor|maggiore|"
    r"minore|string|key|"
    r"power|vitamin|is\sfor|scale|battery|batteries|flat|shirt|sample|cup|list|side)\b"
    r"|\s?[区超罗股站级型座队组级]|\s?大调|\s?小调"
)
_CONTINUES = re.compile(
    rf"\s?(?:$|[^\w\s{MENTION[1:-1]}]|(?:because|since|as|is|was|and|but|or|not|for|given|"
    rf"değil|the\s(?:most|best)|due|which|with|rather|"
    r"instead|based|would|must|should|seems|fits|matches|appears|looks|can|could|does|has|"
    r"over|nor|here|it|if|may|might|"
    r"ist|est|es|è|é|oder|ou|o|weil|car|parce|porque|perch[ée])\b"
    r"|of\sthe\soptions\b|[\u0400-\u06ff\u0900-\u097f\u0e00-\u0e7f\u3040-\u9fff\uac00-\ud7af])",
    re.IGNORECASE,
)
_INITIAL = re.compile(r"\.\s[A-Z][a-z]+")
_CAPITALISED = re.compile(r"\b([A-Z][a-z]{2,})\s$")
_NO_SURNAMES = frozenset(
    "answer option choice letter hence thus therefore likely probably choose select pick "
    "final correct definitely antwort lösung option perhaps maybe clearly surely says".split()
)

#: Texts of options that are words of every sentence: they count only where they stand alone.
_COMMON_TEXTS = frozenset(
    "yes no none neither both all other true false a i it he she they not is one some this "
    "that correct wrong incorrect right ja nein oui non si sí sim não да нет unknown "
    "unclear uncertain other others maybe same 是 否 有 无 对 错 不 はい いいえ 네 예 "
    "아니요".split()
)
_STANDS_ALONE_BEFORE = re.compile(
    r"(?:^|[.!?:;=\n\ue000\u3002]|\bis|\bwas|\bbe|\banswer|\bsay|\bthink|\bchoose|\bpick|"
    r"\bso,?|\bhence,?|[是选は])[\s(\"']{0,3}$",
    re.IGNORECASE,
)
_TOWARDS = re.compile(r"\b(?:to|the|towards?|turns|goes|its|his|her)\s$", re.IGNORECASE)
_STANDS_ALONE_AFTER = re.compile(r"[)\"']{0,2}\s?(?:$|[.,!;:\n\ue001\u3002\uff0c])")
_SAME_TWICE = re.compile(
    rf"({MENTION})[\s.:)\],\"'(\u2013\u3001=-]{{0,6}}(?:(?i:the|a|an)\s)?({MENTION})"
)


class _Named(NamedTuple):
    start: int
    end: int
    sign: str


def with_mentions(text: str, options: Sequence[str], *, has_letters: bool = True) -> str:
    """The text with one sign for each mention of an option.

    Args:
        text: as ``final_text`` gives it.
        options: normalised texts of the options, without letters.
        has_letters: whether letters stand for options; otherwise only their texts do.
    """
    options = options[:_MAX_OPTIONS]
    marked = _marked_texts(text, options)
    if not has_letters:
        return marked
    letters = _letters(options)
    marked = _SLASH.sub(r"\1 or ", marked)
    for pattern in (_BRACKETED_LETTER, _NAMED_LETTER, _LINE_LABEL, _INNER_LABEL, _SMALL_AFTER_IS):
        marked = pattern.sub(lambda found: _label(found, letters), marked)
    marked = _BARE_LETTER.sub(lambda found: _bare(found, letters), marked)
    places = {option.strip(): number for number, option in enumerate(options)}
    return _SAME_TWICE.sub(lambda pair: _merged(pair, places), marked)


def option_of(sign: str) -> int | None:
    """The number of the option that a sign stands for, None where it is none or unclear."""
    place = ord(sign)
    return None if place >= UNCLEAR else _place(sign)


def is_form(sign: str, form: int) -> bool:
    """Whether a sign is of a form: ``LABEL``, ``LETTER``, ``TEXT``, ``NUMBER`` or ``UNCLEAR``."""
    return form <= ord(sign) < form + 0x100


def _letters(options: Sequence[str]) -> Mapping[str, str]:
    """What each letter stands for: an option, or nothing clear where it is another one's text."""
    texts = {option.strip(): number for number, option in enumerate(options)}
    signs = {}
    for number, letter in enumerate(LETTERS):
        is_text = letter in texts
        if number >= len(options):
            signs[letter] = chr(TEXT + texts[letter]) if is_text else NO_OPTION
        elif is_text and texts[letter] != number:
            signs[letter] = chr(UNCLEAR + number)
        else:
            signs[letter] = chr(LABEL + number)
    return signs


def _label(found: re.Match[str], letters: Mapping[str, str]) -> str:
    letter = next(group for group in found.groups() if group)
    sign = letters[letter.upper()]
    opened = "\ue000" if "\ue000" in found.group() else ""
    if found.re is _NAMED_LETTER or found.re is _SMALL_AFTER_IS:
        return found.group()[: found.start("letter") - found.start()] + sign
    return f"{opened}{sign}{' ' if found.re is not _BRACKETED_LETTER else ''}"


def _bare(found: re.Match[str], letters: Mapping[str, str]) -> str:
    letter = found.group("letter")
    sign = letters[letter]
    before = found.string[max(0, found.start() - 24) : found.start()]
    after = found.string[found.end() : found.end() + 24]
    if _TITLE_BEFORE.search(before) or _NAME_BEFORE.search(before) or _NAME_AFTER.match(after):
        return letter
    if letter in "AEIOUY" and not _CONTINUES.match(after):
        return letter
    if letter == "I" and not re.match(r"\s?(?:$|[.;!])", after):
        return letter
    if sign == NO_OPTION:
        is_answer = re.search(r"(?:is|:|=)\s?$", before) and re.match(r"\s?(?:$|[.,;!\n])", after)
        return sign if is_answer else letter
    named = _CAPITALISED.search(before)
    if named and named.group(1).casefold() not in _NO_SURNAMES and _INITIAL.match(after):
        return letter
    return chr(ord(sign) + LETTER - LABEL) if is_form(sign, LABEL) else sign


def _merged(pair: re.Match[str], places: Mapping[str, int]) -> str:
    """A letter with its own text is one label; with another one's text it stays two mentions.

    Args:
        places: number of each option by its text.
    """
    first, second = pair.groups()
    numbers = {_place(sign) for sign in (first, second)}
    is_unclear = is_form(second, UNCLEAR) and second != NO_OPTION
    if is_unclear and places[LETTERS[_place(second)]] == _place(first):
        return chr(LABEL + _place(first))
    has_text = any(is_form(sign, form) for sign in (first, second) for form in (TEXT, NUMBER))
    if len(numbers) == 1 and has_text:
        return chr(LABEL + numbers.pop())
    return pair.group()


def _place(sign: str) -> int:
    return (ord(sign) - LABEL) % 0x100


def _marked_texts(text: str, options: Sequence[str]) -> str:
    """Texts of options become signs; the longest that begins at a word wins."""
    forms = _forms_of(options)
    if not forms:
        return text
    words = tokens(text)
    stems = [loosely(word) for word in words]
    parts: list[str] = []
    place = number = 0
    while number < len(words):
        named = None
        if words[number].form in forms or stems[number] in forms:
            named = _named_at(words, number, forms, text)
        if named is None:
            number += 1
            continue
        parts += [text[place : named.start], named.sign]
        place = named.end
        while number < len(words) and words[number].start < named.end:
            number += 1
    return "".join([*parts, text[place:]])


class _Form(NamedTuple):
    option: int
    words: tuple[str, ...]
    is_loose: bool


def _forms_of(options: Sequence[str]) -> Mapping[str, list[_Form]]:
    """The forms in which each option may be named, by their first word, the longest first.

    An option is retold loosely only where no other one reads the same then.
    """
    strict = [tuple(token.form for token in tokens(option)) for option in options]
    loose = [tuple(filter(None, map(loosely, tokens(option)))) for option in options]
    turned = [_turned(words) for words in strict]
    forms: dict[str, list[_Form]] = {}
    for number, option in enumerate(options):
        if re.fullmatch(r"[A-Za-z]", option.strip()):
            continue
        found = []
        if loose[number] and loose.count(loose[number]) == 1:
            found.append(_Form(number, loose[number], True))
        elif strict[number] and strict.count(strict[number]) == 1:
            found.append(_Form(number, strict[number], False))
        if turned[number] and loose.count(turned[number]) == 0:
            found.append(_Form(number, turned[number], True))
        for form in found:
            forms.setdefault(form.words[0], []).append(form)
    for same in forms.values():
        same.sort(key=lambda form: -len(form.words))
    return forms


def _turned(words: tuple[str, ...]) -> tuple[str, ...]:
    """ "Violin and piano" of "piano and violin"; empty where there is no one "and"."""
    if words.count("and") != 1:
        return ()
    middle = words.index("and")
    turned = [Token(word, 0, 0) for word in words[middle + 1 :] + words[:middle]]
    return tuple(filter(None, map(loosely, turned)))


def _named_at(
    words: Sequence[Token], place: int, forms: Mapping[str, list[_Form]], text: str
) -> _Named | None:
    candidates = {
        form
        for first in {words[place].form, loosely(words[place])}
        for form in forms.get(first, ())
    }
    for form in sorted(candidates, key=lambda form: (-len(form.words), form.option)):
        end = _end_of(words, place, form)
        if end is None:
            continue
        start = words[place].start
        if len(form.words) == 1 and not _may_stand_here(text, form.words[0], start, end):
            continue
        is_counted = place > 0 and is_number(words[place - 1].form) and words[place - 1].form != "1"
        if is_counted and not is_number(form.words[0]):
            continue
        kind = NUMBER if len(form.words) == 1 and is_number(form.words[0]) else TEXT
        return _Named(start, end, chr(kind + form.option))
    return None


def _end_of(words: Sequence[Token], place: int, form: _Form) -> int | None:
    """Where a form that begins at a word ends; None where it is not there."""
    matched = 0
    end = words[place].end
    while matched < len(form.words):
        if place == len(words):
            return None
        word = loosely(words[place]) if form.is_loose else words[place].form
        if word:
            if word != form.words[matched]:
                return None
            matched += 1
            end = words[place].end
        place += 1
    return end


def _may_stand_here(text: str, word: str, start: int, end: int) -> bool:
    if word not in _COMMON_TEXTS:
        return True
    before = text[max(0, start - 12) : start]
    if word == "right" and _TOWARDS.search(before):
        return _STANDS_ALONE_AFTER.match(text, end) is not None
    return bool(_STANDS_ALONE_BEFORE.search(before) and _STANDS_ALONE_AFTER.match(text, end))
