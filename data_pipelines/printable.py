"""Outside strings as terminals, logs and pages may have them.

Captions, file names, names of models, headers of servers and what libraries say of a broken file
are written by others. A terminal obeys control sequences in them, a reader is misled by marks that
turn the direction of writing, and addresses carry passwords. Everything that is shown or stored for
showing goes through here.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Control characters but for tab and line feed; marks of direction; separators of lines and
# paragraphs; byte order marks; notes between lines; halves of characters, which no file can hold.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb"
    "\ud800-\udfff]"
)

_ENDS = re.compile(r"\s*[\r\n]\s*")

#: What stands for a password.
MASK = "***"

# From the mark on: where a scheme begins cannot be told in a long run of letters at low cost.
_USER = re.compile(r"(?<=://)[^\s/?#\"'<>\\]*@")
_USER_WITH_SLASH = re.compile(r"(?<=://)[^\s/:@\"'<>]+:(?!\d+[/?#])[^\s@\"'<>]+@")
_QUERY = re.compile(
    r"(?i)(?<=[?&;])((?:x-(?:amz|goog)-(?:signature|credential|security-token)|sig|signature|token|"
    r"access_token|api_?key|key|password|secret)=)[^&\s\"'<>#]+"
)
_HEADER = re.compile(r"(?i)(authorization[\"']?\s*[:=]\s*[\"']?(?:bearer|basic)\s+)[^\s\"']+")

#: From a write of tqdm to its own code, with room for wrappers.
_FRAMES = 8

_secrets: set[str] = set()


def keep_secret(text: str) -> None:
    """Show ``MASK`` in place of this text from now on, in this process."""
    _secrets.add(text)


def masked(text: str) -> str:
    """Text without passwords of addresses, signatures of addresses, and keys."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    if "://" in text:
        text = _USER.sub(f"{MASK}@", text)
        text = _USER_WITH_SLASH.sub(f"{MASK}@", text)
    if "=" in text:
        text = _QUERY.sub(rf"\1{MASK}", text)
    return _HEADER.sub(rf"\1{MASK}", text) if "uthorization" in text else text


def masked_values(value: Any) -> Any:
    """Settings, JSON-ready, with every text ``masked``."""
    if isinstance(value, dict):
        return {key: masked_values(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [masked_values(one) for one in value]
    return masked(value) if isinstance(value, str) else value


def printable(text: str) -> str:
    r"""Text that a terminal, a log or a page can have: ``masked``, and "\x1b" for an escape.

    Tabs and line feeds stay; given twice, it changes nothing more.
    """
    return escaped(masked(text))


def one_line(text: str) -> str:
    """``printable`` text in one line: a blank in place of each end of a line."""
    return printable(_ENDS.sub(" ", text.strip()))


def escaped(text: str) -> str:
    r"""Text with "\x1b" and "\u202e" in place of what is not seen but obeyed."""
    return _HIDDEN.sub(_named, text) if _HIDDEN.search(text) else text


def json_text(text: str) -> str:
    r"""JSON with what is obeyed written as "\u202e": the same value, in print."""
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class PrintableStream:
    """A text stream that shows ``printable`` text alone.

    Args:
        stream: where it goes.
    """

    def __init__(self, stream: Any) -> None:
        self.obeyed = stream  #: for own lines that are rewritten

    def write(self, text: str) -> int:
        """Write it; returns the number of characters given."""
        if text.startswith("\r") and _is_progress_bar():
            self.obeyed.write("\r" + printable(text[1:].rstrip("\r")))
        else:
            self.obeyed.write(printable(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.obeyed, name)


@contextmanager
def printable_streams() -> Iterator[None]:
    """Standard output and error as ``PrintableStream`` inside the block."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_wrapped(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _wrapped(stream: Any) -> Any:
    is_plain = stream is not None and not isinstance(stream, PrintableStream)
    return PrintableStream(stream) if is_plain else stream


def _named(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def _is_progress_bar() -> bool:
    """Whether tqdm writes, which rewrites its own line."""
    frame = sys._getframe(1)
    for _ in range(_FRAMES):
        if str(frame.f_globals.get("__name__", "")).startswith("tqdm"):
            return True
        if frame.f_back is None:
            break
        frame = frame.f_back
    return False
