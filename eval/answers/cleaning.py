"""From what a model wrote to plain text: no reasoning, no markup, answer containers marked."""

import re
import unicodedata

#: Stands before what an answer container (box, tag, JSON key) holds, and after it.
OPEN, CLOSE = "\ue000", "\ue001"

#: Characters of a long response that are read: answers stand at its beginning or its end.
_HEAD, _TAIL = 4_000, 12_000

_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u00ad\ufe0f\ue000-\uf8ff]")
_SIGNS = str.maketrans(
    "\u2018\u2019\u201c\u201d\u201e\u2212\u266f\u3010\u3011\u300c\u300d\u300e\u300f\u00ab"
    "\u00bb\uff61",
    '\'\'"""-#[]""""""\u3002',
)
#: Letters in dark circles and squares, which have no compatibility form.
_DARK_LETTERS = {start + n: 65 + n for start in (0x1F150, 0x1F170) for n in range(26)}
_CONTRACTIONS = (
    (re.compile(r"\b(?:can't|cannot|cant)\b", re.IGNORECASE), "can not"),
    (re.compile(r"\bwon't\b", re.IGNORECASE), "will not"),
    (re.compile(r"\b(\w{2,6})n't\b", re.IGNORECASE), r"\1 not"),
    (re.compile(r"\bain't\b", re.IGNORECASE), "is not"),
    (re.compile(r"\b(it|that|he|she|there|answer|what|here|who)'s\b", re.IGNORECASE), r"\1 is"),
)

_THOUGHT = (
    r"(?:seed:)?(?:think|thinking|thoughts?|reasoning|scratchpad|rationale|reflection|cot|analysis)"
)
_THOUGHT_TAG = re.compile(
    rf"(?:<\|?|\[|\u25c1)\s?(?P<end>/|end_of_|\|/)?\|?\s?(?:begin_of_)?{_THOUGHT}\s?(?:\|?>|"
    rf"\]|\u25b7)"
    r"|<\|channel\|>\s?(?:(?P<start_channel>analysis|commentary)|(?P<end_channel>final))"
    r"\s?(?:<\|message\|>)?",
    re.IGNORECASE,
)

_LATEX_WRAPPER = re.compile(
    r"\\(?:text|textbf|textit|mathrm|mathbf|mathsf|mathit|emph|texttt|operatorname|textrm)\s?"
    r"\{([^{}]{0,400})\}"
)
_BOXED = re.compile(r"\\(?:boxed|fbox)\s?(?:\{([^{}]{0,400})\}|([A-Za-z0-9]))")
_ANSWER_NAME = (
    r"(?:(?:final|correct|best|selected|chosen|my|predicted|the)[ _-]?)?"
    r"(?:answer|option|choice|letter|label|prediction|result|selection|solution|final|ans)"
    r"(?:[ _-]?(?:letter|choice|option|label|key))?"
)
_ANSWER_TAG = re.compile(
    rf"<\s?{_ANSWER_NAME}\s?>([^<]{{0,400}})(?:</\s?{_ANSWER_NAME}\s?>)?"
    rf"|<\|begin_of_box\|>([^<]{{0,400}})(?:<\|end_of_box\|>)?"
    rf"|\[\s?{_ANSWER_NAME}\s?\][ :]{{0,3}}([^\[\n]{{0,400}})(?:\[/\s?{_ANSWER_NAME}\s?\])?",
    re.IGNORECASE,
)
_ANSWER_KEY = re.compile(
    rf"""["']{_ANSWER_NAME}["']\s{{0,3}}:\s{{0,3}}
    (?:"([^"\n]{{0,400}})"|'([^'\n]{{0,400}})'|\[([^\]\n]{{0,400}})\]|([^\s,}}"']{{1,40}}))""",
    re.IGNORECASE | re.VERBOSE,
)

_BETWEEN_CONTAINERS = re.compile(
    rf"{CLOSE}\s{{0,3}}\$?\s{{0,3}}(or|and|,|/|&|oder|ou|o|y|\u6216|"
    rf"\u548c)\s{{0,3}}\$?\s{{0,3}}{OPEN}",
    re.IGNORECASE,
)
_QUESTION_LINE = re.compile(r"^\W{0,6}Q\s?[.:]", re.MULTILINE)
_ANSWER_LINE = re.compile(r"^[*_ \t]{0,6}A\s?:[*_ \t]{0,6}", re.MULTILINE)

_LETTER_IN_MARKS = re.compile(
    r"(?<![\w\\])(?:[*_`\"'(\[{]|\\\(|\$){1,6}\s?([A-Za-z])\s?[.):,]?\s?(?:[*_`\"')\]}]|"
    r"\\\)|\$){1,6}(?![A-Za-z0-9])"
)
_MARKUP = re.compile(
    r"\*{1,4}|`{1,3}(?:json|text)?|~~|(?<!\w)_{1,3}(?=\w)|(?<=\w)_{1,3}(?!\w)|\\[()\[\]]"
    r"|</?(?:b|i|u|p|em|br|strong|span|div|mark)\s?/?>",
    re.IGNORECASE,
)
_HEADING = re.compile(r"^[ \t]{0,8}(?:#{1,6}|>{1,3})[ \t]{1,3}", re.MULTILINE)
_HEADING_ALONE = re.compile(
    r"^([ \t]{0,8}(?:(?:my|the|final|correct)[ ]){0,2}(?:answer|choice|antwort|r\u00e9ponse|"
    r"respuesta|"
    r"risposta|resposta|\u7b54\u6848|\u7b54\u3048|\uc815\ub2f5|\u043e\u0442\u0432\u0435\u0442)"
    r"(?:[ ](?:is|es|ist|est))?)[ \t]{0,4}[:.\u3002-]?[ \t]{0,4}\n[\n \t]{0,8}(?=\S)",
    re.IGNORECASE | re.MULTILINE,
)
_COLON_LINE = re.compile(r":[ \t]{0,4}\n[\n \t]{0,8}(?=\S)")


def normalised(text: str) -> str:
    """Compatibility forms (full-width, circled letters) made plain, contractions spelled out."""
    text = unicodedata.normalize("NFKC", text.translate(_DARK_LETTERS))
    text = _INVISIBLE.sub("", text).translate(_SIGNS)
    for pattern, spelled in _CONTRACTIONS:
        text = pattern.sub(spelled, text)
    return text


def final_text(text: str) -> str:
    """What is left to read: after the reasoning, with containers marked and markup gone.

    A letter in brackets, quotes or emphasis becomes "(X)". Of more than 16,000 characters the
    first 4,000 and the last 12,000 are read.
    """
    text = _ends_of(normalised(_ends_of(without_thoughts(text))))
    text = without_thoughts(text)
    for _ in range(3):
        text = _LATEX_WRAPPER.sub(r"\1", text)
    for container in (_ANSWER_TAG, _ANSWER_KEY, _BOXED):
        text = container.sub(_marked, text)
    text = _BETWEEN_CONTAINERS.sub(r" \1 ", text)
    if _QUESTION_LINE.search(text):
        text = _ANSWER_LINE.sub("Answer: ", text)
    text = _LETTER_IN_MARKS.sub(r"(\1)", text)
    text = _HEADING.sub("", _MARKUP.sub("", text)).strip()
    return _COLON_LINE.sub(": ", _HEADING_ALONE.sub(r"\1: ", text))


def _ends_of(text: str) -> str:
    """The beginning and the end of a long text, without the words that the cuts go through."""
    if len(text) <= _HEAD + _TAIL:
        return text
    head = re.sub(r"\S{1,80}\Z", "", text[:_HEAD])
    tail = re.sub(r"\A\S{1,80}", "", text[-_TAIL:])
    return f"{head}\n\n{tail}"


def without_thoughts(text: str) -> str:
    """Reasoning between tags is dropped, with all before an end that has no beginning.

    Where reasoning does not end, nothing after its beginning counts.
    """
    kept: list[str] = []
    depth = 0
    place = 0
    for tag in _THOUGHT_TAG.finditer(text):
        is_end = bool(tag.group("end") or tag.group("end_channel"))
        if depth == 0:
            kept.append(text[place : tag.start()])
        if is_end and depth == 0:
            kept.clear()
        depth = 0 if is_end else 1
        place = tag.end()
    if depth == 0:
        kept.append(text[place:])
    return "\n".join(kept)


def _marked(container: re.Match[str]) -> str:
    content = next((group for group in container.groups() if group is not None), "")
    return f" {OPEN}{content.replace(chr(34), ' ').strip()}{CLOSE} "
