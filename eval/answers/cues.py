# ruff: noqa: RUF001
"""Regular expressions for what stands around a mention of an option, in all languages at once.

Each is linear in the length of what it reads; see ``languages`` for the forms themselves.
"""

import re
from collections.abc import Iterable

from eval.answers.languages import fragments
from eval.answers.mentions import MENTION


def _any(forms: Iterable[str]) -> str:
    return "(?:" + "|".join(forms) + ")"


def _words(forms: Iterable[str]) -> str:
    """Whole words where they are of letters; signs of Chinese, Japanese and Thai anywhere."""
    dense = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")
    spaced = [form for form in forms if not dense.search(form)]
    signs = [form for form in forms if dense.search(form)]
    parts = [rf"(?<!\w){_any(spaced)}(?!\w)"] if spaced else []
    return _any([*parts, *signs])


_FILL = (
    r"(?:[\s:=>\"'(\[,$\ue000\u2013\u2014-]|"
    + _words(fragments("fills"))
    + r"|(?<=[是为选はが])){0,24}"
)
STATES = re.compile(rf"(?:{_any(fragments('states'))}|\ue000){_FILL}$", re.IGNORECASE)
CONCLUDES = re.compile(rf"{_words(fragments('concludes'))}{_FILL}$", re.IGNORECASE)
IS = re.compile(
    rf"(?:\b(?:is|are|was|be|sounds\slike|looks\slike|ist|est|es|[ée]|è)|"
    rf"[是为])\b{_FILL}$",
    re.IGNORECASE,
)
AFFIRMS = re.compile(r"[\s)\"',]{0,4}" + _any(fragments("affirms")), re.IGNORECASE)
SUPPORTS = re.compile(
    r"[\s)\"',]{0,4}(?:\w+ly\s)?(?:fits|matches|works|holds|agrees|is\s(?:supported|"
    r"consistent|heard|in\sline)|makes\ssense|"
    r"corresponds|describes|aligns|remains|is\sleft|stands|seems\sright|explains|"
    r"can\sbe\s(?:heard|seen))\b",
    re.IGNORECASE,
)
DENIES = re.compile(r"[\s)\"'.]{0,3}(?:that\s|which\s)?" + _any(fragments("denies")), re.IGNORECASE)
NEGATES = re.compile(_words([*fragments("negates")]), re.IGNORECASE)
NEGATES_NEXT = re.compile(
    _words([*fragments("negates")])
    + rf"[\s:\"'(]{{0,4}}(?:(?:the|option|choice|answer|la|die|que)\s){{0,3}}{MENTION}",
    re.IGNORECASE,
)
CERTAIN = re.compile(
    r"\b(?:(?:without|no|beyond|with\sno)\s(?:a\s|any\s)?(?:shadow\sof\sa\s)?(?:doubt|"
    r"question)(?:\s(?:that|it\sis))?|not\sonly|"
    r"(?:can|could)\s(?:not\s|only\s)(?:possibly\s)?be\s(?:anything|"
    r"any\sother)\s(?:\w+\s)?(?:else\s)?(?:but|than|except)|none\sother\sthan|"
    r"nothing\s(?:else\s)?but|"
    r"no\sother\s\w+|not\s(?:hard|difficult)\sto|nothing\selse|no\sone\selse|no\sproblem|"
    r"nul\sdoute|sans\s(?:aucun\s)?doute|"
    r"ohne\szweifel|zweifellos|sin\s(?:ninguna\s)?duda|sem\sd[úu]vida|senza\sdubbio|"
    r"без\sсомнени\w+|even\sif|"
    r"if\s(?:i|we)\s(?:had|have|were|must|am|need)\s(?:to\s|forced\sto\s)?(?:choose|pick|"
    r"guess|answer|select|say)?\w*(?:\sone)?|if\sforced|if\spressed|"
    r"if\si\sam\snot\smistaken|when\sin\sdoubt|i\shave\sno\sdoubt|not\sto\smention|"
    r"wrong\sanswers?\saside|not\ssurprisingly)\b,?"
    r"|毫无疑问|毫無疑問|不难看出|不难发现|不仅|没有疑问|无疑|不用说|不言而喻|間違いなく|의심의\s여지\s?없이|틀림없이|şüphesiz|không\snghi\sngờ",
    re.IGNORECASE,
)
DOUBTS = re.compile(_words(fragments("doubts")), re.IGNORECASE)
HEDGES = re.compile(_words(fragments("hedges")), re.IGNORECASE)
ANYTHING_BUT = re.compile(
    r"\b(?:anything|everything|all|any\s\w+)\s(?:but|except)\b", re.IGNORECASE
)
DOUBTS_AFTER = re.compile(
    r"[^.]{0,60}\b(?:if|unless|provided|assuming|wenn|falls|s'il|nếu|jika|якщо|если)\b|"
    r"[\s)\"',]{0,3}(?:could|might|may)\s(?:also\s|well\s)?(?:be|fit|have)|"
    r"[\s)\"',]{0,3}(?:is|seems|looks|sounds)\s(?:also\s|a\s|somewhat\s|"
    r"quite\s)?(?:possible|plausible|tempting|a\s?lso|candidate|common|often|similar|close|"
    r"interesting)"
    r"|\s?(?:かもしれ|でしょうか|ですか|か[?？]|일\s수도|인가요|일까요|인지|olabilir|m[ıi]\b|吗|嗎|呢|还是|có\sđúng|"
    r"benarkah|หรือไม่|とは限|なのか|の可能性|일지도|과\s비슷)",
    re.IGNORECASE,
)
_CONTRAST = (
    r"but|so|because|since|however|therefore|thus|hence|although|though|while|whereas|yet|then|"
    r"mais|donc|car|parce\sque|aber|denn|weil|daher|sondern|pero|porque|sino|entonces|mas|"
    r"portanto|pois|ma|quindi|perch[ée]|bens[ìi]|"
    r"но|а|поэтому|потому\sчто|значит|tetapi|tapi|melainkan|karena|jadi|ama|fakat|çünkü|"
    r"nhưng|mà|vì|vậy|لكن|بل|لأن|لذلك|लेकिन|बल्कि|क्योंकि|इसलिए|maar|dus|lecz"
)
BREAK = re.compile(
    rf",(?!\s(?:dass|da\u00df|\u0447\u0442\u043e|\u0447\u0442\u043e\u0431\u044b|\u017ce|"
    rf"\u017ee|hogy|that)\b)|[;:\uff0c\u3001\u2014\u2013\ue000)]|\s-\s|"
    rf"(?<!\w)(?:{_CONTRAST})(?!\w)|但是?|所以|因此|因为|因為|而是|却|から|ので|ではなく|なく|아니라|지만|하지만|그래서|따라서"
    rf"|\b(?:and|und|et|y|e|и)\s(?={MENTION}\s(?:is|was|ist|est|es|è|é))",
    re.IGNORECASE,
)
HARD_BREAK = re.compile(
    r"(?<!\w)(?:but|however|therefore|so|yet|mais|aber|pero|mas|ma|но|tetapi|tapi|nhưng|ama|"
    r"لكن|लेकिन|maar|thus|hence|donc|entonces|portanto|quindi|поэтому|actually|in\sfact|"
    r"on\sreflection|now|wait)(?!\w)"
    r"|但是?|不过|其实|所以|因此|しかし|が、|하지만|지만|따라서|그러나",
    re.IGNORECASE,
)
ENDS = re.compile(
    r"[\s)\"']{0,3}(?:$|[.,;:!?(\u3002\uff0c\ue001]|-|\u2014|\b(?:because|since|as|for|"
    r"due|given|which|that|while|but|and|from|"
    r"based|with|here|in|on|at|people|persons|times|then|not|too|either|rather|over|though|"
    r"right|by|than|instead|"
    r"weil|da|denn|car|parce|porque|pois|perch[ée]|потому|так|karena|vì|çünkü)\b|"
    r"[\u0600-\u06ff\u0900-\u097f\u3040-\u9fff\uac00-\ud7af])",
    re.IGNORECASE,
)
ONLY_FILL = re.compile(
    rf"(?:[\W_]|{_words(fragments('concludes'))}|{_words(fragments('fills'))}|"
    rf"{_words(['option', 'choice', 'letter'])}|[项項です。])*",
    re.IGNORECASE,
)
_JOIN = (
    rf"(?:[)\]\"'.\s]{{0,4}}(?:[/&+]|,|\u3001|{_words(fragments('joins'))})[\s,(\[\"']{{0,4}}"
    r"(?:(?:or|and|even|maybe|perhaps|possibly|also|then|the|a|an|option|choice|answer|la|"
    r"el|le|die|der|das|l'option|"
    r"вариант|选项|possibly|both|by|to)\s){0,3}[\s,(\[\"']{0,3})"
)
_VERB = (
    r"(?:is|was|has|does|can|could|would|looks|seems|ist|est|es|è|é|were|cannot|fits|matches|"
    r"contradicts|lacks|cannot)"
)
GROUP = re.compile(
    rf"{MENTION}(?:{_JOIN}(?={MENTION}){MENTION}(?!\s{_VERB}\b)|(?<=\s){MENTION}|"
    rf"[\s.:)(]{{0,3}}[\ue300-\ue4ff])*"
)
SENTENCE_END = re.compile(
    r"(?<=[!?\u3002\ue001\u0964])(?![\"')\]]*[,;])\s*|(?<=[^.\s][.])(?=\s|$|"
    r"[\u3040-\u9fff])\s*|(?<=\.\.\.)\s*|;\s|\n"
)
WITHDRAWS = re.compile(
    r"\b(?:that|this|it)\s(?:is|was|can\snot\sbe|seems|"
    r"does\snot)\s?(?:\w+ly\s)?(?:not\s(?:right|correct|it|true)|wrong|incorrect|a\smistake|"
    r"mistaken|seem\sright)|"
    r"\bi\swas\s(?:wrong|mistaken)|scratch\sthat|strike\sthat|i\stake\s(?:that|it)\sback|"
    r"disregard\sthat|ignore\sthat|let\sme\s(?:reconsider|rethink|re-?check)|"
    r"on\ssecond\sthought|\bwait\b|^\W*no\W*$|^\W*not?\sreally\W*$|^\W*wrong\W*$|"
    r"\bor\smaybe\snot\b|不对|不對|等等|이\s아니|いや|不,|je\sme\ssuis\stromp|ich\shabe\smich\sgeirrt|"
    r"me\sequivoqu[ée]",
    re.IGNORECASE,
)
NO_OPTION_RIGHT = re.compile(
    r"\b(?:none|neither|nothing|no\sone)\s(?:of\s(?:the|these|them|those|my)|(?:is|are|was|"
    r"seems?|fits?|match\w*))|"
    r"\bno\s(?:correct|right|suitable|valid|single)\s(?:option|answer|choice)|"
    r"\b(?:all|both|any|each)\s(?:of\s(?:the|these|them)\s(?:\w+\s)?(?:options|answers|"
    r"choices|above)|options|answers|choices|four)|\bnot\sany\sof|"
    r"以上(?:都|皆)|都(?:不|对|對)|keine\sder|aucune\sdes?|ninguna\s(?:de|es)|nenhuma\sd|nessuna\sd|"
    r"ни\sодин|どれも|모두|bukan\ssemua|hiçbiri|không\scó\s(?:đáp|câu)",
    re.IGNORECASE,
)
NONE = re.compile(r"\W*(?:the\sanswer\sis\s)?(?:none|neither)\b", re.IGNORECASE)
CORRECTS = re.compile(
    r"\b(?:wait|actually|no|so|therefore|thus|hence|final(?:ly)?|but|however|sorry|"
    r"correction|reflection|rather|"
    r"reconsider\w*|second\sthought|overall|conclusion|conclude|instead|now|ultimately|"
    r"correct(?:ed)?|consequently|mean|chang\w+|revis\w+|"
    r"donc|non|finalement|mais|also|daher|nein|doch|aber|sondern|entonces|tanto|pero|sino|"
    r"portanto|ent[ãa]o|mas|quindi|anzi|ma|"
    r"поэтому|значит|нет|но|итак|jadi|tetapi|tapi|maka|hay[ıi]r|ama|vậy|nhưng|لكن|بل|إذن|"
    r"लेकिन|इसलिए)\b|"
    r"\ue000|所以|因此|但|不对|最终|综上|其实|更正|故|よって|したがって|しかし|いや|따라서|하지만|아니|그러므로",
    re.IGNORECASE,
)
MEASURES = re.compile(
    r"[\s-]?(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|s|min|am|pm|hz|k?hz|k?m|"
    r"cm|mm|kg|feet|"
    r"met(?:er|re)s?|miles?|percent|degrees?|images?|options?|choices?)\b",
    re.IGNORECASE,
)
DECLINES = re.compile(_words(fragments("declines")), re.IGNORECASE)
