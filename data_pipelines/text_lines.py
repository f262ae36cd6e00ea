"""Lines of text files: a line ends at LF, CR LF or CR, and nowhere else.

``str.splitlines`` also ends lines at eight more characters (U+2028, NEL, form feed...), which
captions and the texts of JSON lines may hold.
"""

import re

_END = re.compile(r"\r\n|\n|\r")


def lines_of(text: str) -> list[str]:
    """The lines of a text without their ends; a last line without an end counts like the others."""
    lines = _END.split(text)
    if not lines[-1]:
        lines.pop()
    return lines
