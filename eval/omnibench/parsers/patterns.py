"""Regular expressions of the parser of our own, each linear in the length of the response."""

import re
import unicodedata

_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff\u00ad]")
_NOT_WORDS = re.compile(r"[^\w%+#]+|_+")
_QUOTES = str.maketrans("\u2018\u2019", "''")
_MARKS = re.compile(r"[*_`\"'()\[\]{}]")

THOUGHT_END = re.compile(r"</\s?think(?:ing)?\s?>", re.IGNORECASE)
THOUGHT_START = re.compile(r"<\s?think(?:ing)?\s?>", re.IGNORECASE)

#: One letter with nothing but signs around it, perhaps after "option" or "answer".
LINE_LETTER = re.compile(
    r"[\W_]{0,40}(?:(?:the\s)?(?:final\s)?(?:option|choice|answer)(?:\sis)?[\W_]{0,12})?"
    r"([A-Za-z])[\W_]{0,40}",
    re.IGNORECASE,
)

#: What is said before an answer; the answer must follow at once.
STATED = re.compile(
    r"""(?:
      \b(?:answer|solution)\b['"*_)\s]{0,4}
        (?:\s?(?:is|was|would\sbe|should\sbe|must\sbe|will\sbe|'s|[:=]|->|→)\s?){1,3}
    | \b(?:correct|right|best|final|most\slikely)\s(?:option|choice|one|letter|response)\b
        (?:\s?(?:is|would\sbe|should\sbe|must\sbe|[:=])\s?){1,2}
    | \bi(?:'d|'ll|\s(?:would|will|therefore|would\stherefore|think|believe))?\s
        (?:choose|pick|select|(?:go|went|going)[ ]with|chose|say|answer|conclude)\b
        (?:\sthat|\sit\sis|\sit's|:){0,2}\s?
    | \b(?:i\s(?:think|believe)|it\shas\sto\sbe|it\smust\sbe|it\sis|it's|that\sis|that's)\s
        (?:it's\s|it\sis\s)?(?=(?:option|choice|answer|["'(*\[]|[A-Z]\b))
    | \b(?:r[ée]ponse|antwort|l[öo]sung|respuesta|risposta|resposta)\b(?:\s(?:correct[ae]?|finale?|
        corretta|richtige|exacta)\b)?\s?(?:est|i[s]t|lautet|es|è|é|:)?\s?(?:(?:la|die|le|a)\s)?
        (?=["'(*\[]?[A-Z]\b)
    | </?answer>\s?
    | \b(?:so|thus|therefore|hence)\b[,:]?\s(?=["'(*\[]?[A-Z][\])*"'.!]{0,3}\s{0,3}(?:\Z|\n))
    | (?:答案|回答|答え|正解|정답)(?:应该|应|就)?(?:是|为|选)?\s?[::]?\s?
    | (?:应该|我|应|故|因此|所以)?(?:选择?|选项)(?:是|为)?\s?[::]?\s?
    )""",
    re.IGNORECASE | re.VERBOSE,
)

#: Brackets, quotes, marks and filling words between a statement and its answer.
OPENERS = re.compile(
    r"""^(?:[\s*_`"'(\[{$:>\-]|\\(?:boxed|text|mathbf|textbf|mathrm)\b
      |(?:definitely|clearly|probably|likely|most\slikely|obviously|simply|either|indeed|therefore|thus|then|hence
        |the\sletter|letter|the\soption|option|the\schoice|choice|number)(?=[\s:(*"'])){0,24}""",
    re.IGNORECASE | re.VERBOSE,
)

BOXED = re.compile(r"\\boxed\s?\{((?:\\\w{1,12}\s?\{)?[^{}]{1,300})\}")

#: A letter at the start, with no letter, digit or joining sign after it.
LETTER = re.compile(r"([A-Za-z])(?![A-Za-z0-9+#&']|-\w|\.\w)")

#: A further letter in the same breath: "B or C", "B/C", "B, C".
OTHER_LETTER = re.compile(
    r"[\s)\]}*.\"']{0,6}(?:/|,|;|&|\bor\b|\band\b)\s{0,3}(?:(?:option|or|and|maybe|perhaps)\s){0,2}"
    r"[\s(\[*\"']{0,4}([A-Z])(?![A-Za-z0-9'])"
)

#: What may follow "A" or "I" where it is a letter.
CONTINUES = re.compile(
    r"[^\w\s]|(?:because|since|as|is|was|and|but|or|not|for|given|due|which|with|rather|instead|"
    r"based|would|must|should|seems|fits|matches|of\sthe\soptions)\b",
    re.IGNORECASE,
)

#: A letter as a label, the named group telling which form.
LABEL = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"[(\[{]\s?(?P<bracketed>[A-Za-z])\s?[)\]}]"
    r"|\*\*\s?\(?(?P<bold>[A-Za-z])[).:]?\s?\*\*"
    r"|(?i:option|choice|answer|letter|选项?|选择)\s?[\"'(*\[]{0,3}(?P<named>[A-Z])(?![A-Za-z0-9'])"
    r"|(?<![^\n])[ \t>*\-#\"']{0,6}(?P<mark>[A-Z])(?:[.):]|\s?[-\u2013\u2014,])(?=\s|\*|$)"
    r"|(?<![^\n])[ \t>*\-#\"']{0,6}(?P<line>[A-Z])(?=\s)"
    r")"
)

_NOT = r"(?:not|n't|neither|nor|never|cannot|no|without|except|excluding|unlike)"

#: What rejects a label or a name that follows it.
NEGATED_BEFORE = re.compile(
    rf"(?:\b|(?<=\w)(?=n't)){_NOT}\s(?:(?:be|is|the|a|an|it|any|option|choice|answer|see|hear|correct|really|"
    r"of)\s){0,4}$"
    r"|\b(?:rather\sthan|instead\sof|ruled?\sout|ruling\sout|eliminat(?:e|es|ed|ing)|"
    r"reject(?:s|ed|ing)?|exclud(?:e|es|ed|ing)|different\sfrom|as\sopposed\sto)\s"
    r"(?:(?:the|a|an|option|choice|answer)\s){0,3}$",
    re.IGNORECASE,
)

#: What rejects a label or a name that stands before it; a bare "not" rejects what follows it.
NEGATED_AFTER = re.compile(
    r"[\s.,:]{0,3}(?:(?:option|choice|answer)\s)?"
    r"(?:(?:is|was|are|seems|looks)\s)?(?:(?:also|clearly|definitely|simply|probably|obviously)\s){0,2}"
    r"(?:(?:is|was|are|can|could|does|do|would|must|should)(?:n't|\snot)\b|can't\b|cannot\b"
    r"|(?<=is\s)not\b|(?<=was\s)not\b|not\s(?:correct|right|true|supported|possible)"
    r"|wrong\b|incorrect\b|false\b|ruled\sout|eliminated|impossible|unlikely|out\sof\sthe\squestion)",
    re.IGNORECASE,
)

#: What chooses a label or a name that stands before it.
AFFIRMED_AFTER = re.compile(
    r"[\s.,:]{0,3}(?:is|seems|appears|must\sbe|would\sbe|looks)\s(?:(?:the|clearly|definitely|also|thus|"
    r"therefore|most|most\slikely|probably|indeed)\s){0,3}(?:correct|right|best|true|answer|accurate)\b",
    re.IGNORECASE,
)

#: What makes a statement no statement: "I cannot say whether it is option B".
DOUBTED_BEFORE = re.compile(r"\b(?:whether|if|unless|suppose|assuming|not\sthat)\s$", re.IGNORECASE)

DECLINES = re.compile(
    r"\b(?:(?:cannot|can't|can\snot|could\snot|couldn't)\s(?:\w{1,20}\s)?"
    r"(?:determine|tell|hear|see|say|answer|listen|help|assist|access|process|identify|view|know|"
    r"decide|provide|choose|pick|play|be\sdetermined|determined|answered)"
    r"|unable|impossible\sto|not\spossible|not\sable|sorry|apologi[sz]e|insufficient|"
    r"not\senough\sinformation|don't\sknow|do\snot\sknow|not\ssure|none\sof\sthe|"
    r"no\scorrect\s(?:option|answer))\b|无法|抱歉|不知道",
    re.IGNORECASE,
)


def normalised(text: str) -> str:
    """Compatibility forms (full-width letters and brackets) made plain, invisible signs gone."""
    text = unicodedata.normalize("NFKC", text).translate(_QUOTES)
    return _INVISIBLE.sub("", text)


def plain(text: str) -> str:
    """Words alone: small, without marks and punctuation, one space between."""
    return _NOT_WORDS.sub(" ", normalised(text).casefold()).strip()


def without_marks(text: str) -> str:
    """Without brackets, quotes and emphasis."""
    return _MARKS.sub("", text)
