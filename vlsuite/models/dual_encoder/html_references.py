"""HTML's character references as steps of ``tokenizers``: ftfy's unescaping, then html.unescape's.

ftfy reads references that end in a semicolon, until nothing changes, up to the first line with a
"<", and mends what they stand for; html.unescape then reads twice what is left, unfinished ones
too, and nothing is mended any more. What ftfy leaves alone can be read in one step.
"""

import html
import itertools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from html.entities import html5

import ftfy
from ftfy import chardata

#: Stands for the "&" of a reference that ftfy leaves alone; a noncharacter of Unicode.
_KEPT = "\\x{FDD0}"

#: Code points whose numbers are read; so are those of all characters with a name.
_NUMBERED = (
    range(0x01, 0x250),  # Latin
    range(0x300, 0x500),  # accents, Greek, Cyrillic
    range(0x1E00, 0x1F00),  # Latin with accents
    range(0x2000, 0x2070),  # punctuation
    range(0xFDD0, 0xFDF0),  # noncharacters
    [plane + last for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF)],
)

_AMPERSAND = "(?:amp|AMP|#0*38(?![0-9])|#[xX]0*26(?![0-9a-fA-F]))"
#: Zero, surrogates, and numbers above U+10FFFF, all read as U+FFFD; see html.unescape.
_INVALID = (
    r"&#(?:0*(?:0|5529[6-9]|55[3-9]\d\d|56\d{3}|57[0-2]\d\d|573[0-3]\d|5734[0-3]"
    r"|11141(?:1[2-9]|[2-9]\d)|1114[2-9]\d\d|111[5-9]\d{3}|11[2-9]\d{4}|1[2-9]\d{5}|[2-9]\d{6}"
    r"|[1-9]\d{7,})(?!\d)"
    r"|[xX]0*(?:0|[dD][89a-fA-F]\h{2}|1[1-9a-fA-F]\h{4}|[2-9a-fA-F]\h{5}|[1-9a-fA-F]\h{6,})(?!\h));?"
)


@dataclass(slots=True)
class _Spellings:
    """How one text is written as references, without the "&".

    Attributes:
        names: of HTML, with their semicolons.
        only_ftfy: names that HTML does not know.
        numbers: code points.
    """

    names: list[str] = field(default_factory=list)
    only_ftfy: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    def finished(self) -> str:
        """Pattern of those that ftfy reads."""
        return _one_of([*self.names, *self.only_ftfy], self.numbers, end=";")

    def html(self) -> str:
        """Pattern of those that html.unescape reads."""
        return _one_of(self.names, self.numbers, end=";?")

    def both(self) -> str:
        """Pattern of those that either reads."""
        return _one_of([*self.names, *self.only_ftfy], self.numbers, end=";?")


def _one_of(names: list[str], numbers: list[int], *, end: str) -> str:
    written = [re.escape(name) for name in names]
    if numbers:
        decimal = "|".join(f"{number}" for number in numbers)
        hexadecimal = "|".join(f"{number:x}" for number in numbers)
        written.append(
            f"#(?:0*(?:{decimal})(?![0-9])|[xX]0*(?i:{hexadecimal})(?![0-9a-fA-F])){end}"
        )
    return "(?:" + "|".join(written) + ")" if written else r"\b\B"


def unescaping_before_repair() -> list[tuple[str, str]]:
    """Patterns and texts of ftfy's part, and of all that no repair would change."""
    repaired, settled = _tables()
    kept = [spelling.finished() for spelling in repaired.values()]
    kept += [re.escape(name) for spelling in settled.values() for name in spelling.only_ftfy]
    after_markup = r"(?:(?<=<[\x{0}-\x{10FFFF}]*&)|(?=[^\n]*<))"
    return [
        (f"&(?:{_AMPERSAND};)+", "&"),
        *[(f"&{_AMPERSAND};?", "&")] * 2,
        (f"&{after_markup}(?={'|'.join(kept)})", "\ufdd0"),
        *((f"&{spelling.finished()}", text) for text, spelling in repaired.items()),
        *((f"&{spelling.both()}", text) for text, spelling in settled.items()),
        (_INVALID, "\ufffd"),
    ]


def unescaping_after_repair() -> list[tuple[str, str]]:
    """Patterns and texts of what html.unescape finds when ftfy is done."""
    repaired, _ = _tables()
    unfinished = {name: text for name, text in html5.items() if not name.endswith(";")}
    longest = sorted(unfinished, key=len, reverse=True)
    return [
        *((f"(?:&|{_KEPT}){spelling.html()}", text) for text, spelling in repaired.items()),
        *((f"&{name}", unfinished[name]) for name in longest if unfinished[name] != "&"),
        (f"{_KEPT}(?=[a-zA-Z])", "&"),
    ]


def _tables() -> tuple[dict[str, _Spellings], dict[str, _Spellings]]:
    """References by the text that they stand for: what ftfy would change, and what not."""
    spellings: dict[str, _Spellings] = defaultdict(_Spellings)
    for name, text in html5.items():
        if name.endswith(";"):
            spellings[text].names.append(name)
    for number in _numbers(spellings):
        spellings[html.unescape(f"&#{number};")].numbers.append(number)
    for reference, text in chardata.HTML_ENTITIES.items():
        if reference[1:] not in html5:
            spellings[text].only_ftfy.append(reference[1:])
    del spellings["&"]
    settled = {text for text in spellings if _is_settled(text)}
    return (
        {text: spelling for text, spelling in spellings.items() if text not in settled},
        {text: spelling for text, spelling in spellings.items() if text in settled},
    )


def _numbers(named: Iterable[str]) -> list[int]:
    named_ones = [ord(text) for text in named if len(text) == 1]
    return sorted({*itertools.chain(*_NUMBERED), *named_ones})


def _is_settled(text: str) -> bool:
    """Whether ftfy leaves a text as it is beside any other."""
    return ftfy.fix_text(text) == text and not any(map(unicodedata.combining, text))
