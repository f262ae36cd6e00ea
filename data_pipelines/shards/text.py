"""Bytes of unknown make to clean text, with a note of everything that had to be put right."""

import codecs
import re
from typing import NamedTuple

from data_pipelines.errors import BadSampleError

#: Longer captions are cut; in bytes of UTF-8.
MAX_CAPTION_BYTES = 8192

NOT_UTF8 = "caption not UTF-8"
CONTROLS = "control characters"
TOO_LONG = "caption too long"

# The longest first: the mark of UTF-32-LE begins with that of UTF-16-LE.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# Western text has single letters with accents between plain ones. Longer runs are Cyrillic,
# Greek or East Asian text of an encoding that cannot be told from the bytes alone.
_FOREIGN = re.compile(rb"[\x80-\xff]{4}")
_CHARACTER = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)

# All but tab, line feed and carriage return; lone surrogates (JSON can hold them) and byte order
# marks go too: tokenizers refuse the former.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_SEPARATORS = "\x0b\x0c\x1c\x1d\x1e\x1f\x85"


class Text(NamedTuple):
    """Text, and labels of what was put right in it."""

    text: str
    mended: tuple[str, ...]


def decode_text(data: bytes, *, name: str) -> Text:
    """Unicode text from UTF-8, UTF-16 or UTF-32 (by mark or, for UTF-16, by its zero bytes), or
    Windows-1252, which includes the printable part of Latin-1.

    UTF-8 with a few broken bytes loses those bytes only.

    Args:
        name: of the member, for the message.
    Raises:
        BadSampleError: "unknown text encoding"; nothing is guessed that would give wrong letters.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            body = data[len(mark) :]
            if encoding != "utf-8":
                return _wide(body, encoding)
            data = body
            break
    if b"\0" in data and (encoding := _unmarked_utf16(data)):
        return _wide(data, encoding)
    try:
        return Text(data.decode("utf-8"), ())
    except UnicodeDecodeError:
        return _not_utf8(data, name)


def clean_caption(text: str) -> Text:
    """Text without control characters and lone surrogates, stripped, at most 8 KiB of UTF-8.

    Control characters that separate lines or fields become blanks.
    """
    mended: tuple[str, ...] = ()
    if _CONTROL.search(text):
        text = _CONTROL.sub(lambda found: " " if found[0] in _SEPARATORS else "", text)
        mended = (CONTROLS,)
    text = text.strip()
    kept = cut_caption(text)
    return Text(kept, mended if kept == text else (*mended, TOO_LONG))


def cut_caption(text: str) -> str:
    """The first 8 KiB of UTF-8 of a text, whole where it is shorter."""
    if 4 * len(text) <= MAX_CAPTION_BYTES:
        return text
    encoded = text.encode(errors="surrogatepass")
    if len(encoded) <= MAX_CAPTION_BYTES:
        return text
    return encoded[:MAX_CAPTION_BYTES].decode(errors="ignore").rstrip()


def _wide(data: bytes, encoding: str) -> Text:
    """UTF-16 or UTF-32; unpaired surrogates and a cut last character are dropped."""
    return Text(data.decode(encoding, errors="ignore"), (NOT_UTF8,))


def _unmarked_utf16(data: bytes) -> str | None:
    """Which byte order fits, where every other byte is mostly zero and the rest never is."""
    even, odd = data[0::2].count(0), data[1::2].count(0)
    if len(data) % 2 == 0 and 2 * max(even, odd) > len(data) // 2 and not min(even, odd):
        return "utf-16-be" if even else "utf-16-le"
    return None


def _not_utf8(data: bytes, name: str) -> Text:
    num_characters = len(_CHARACTER.findall(data))
    kept = data.decode("utf-8", errors="ignore")
    if 2 * num_characters > len(data) - len(kept.encode()):
        return Text(kept, (NOT_UTF8,))
    if not _FOREIGN.search(data):
        try:
            return Text(data.decode("cp1252"), (NOT_UTF8,))
        except UnicodeDecodeError:
            pass
    raise BadSampleError(
        "unknown text encoding",
        f"{name} is neither UTF-8, UTF-16 nor Windows-1252 ({data[:24]!r}); convert it to UTF-8",
    )
