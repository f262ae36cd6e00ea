"""A source outside the package: lines of a text file as pictures of one colour, captions in rot13.

Used as ``vlsuite data build rot13 --import tests/outside/rot13_source.py --lines FILE --out DIR``.
"""

import codecs
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from data_pipelines.errors import DataError
from data_pipelines.schema import Sample, make_uid
from data_pipelines.skips import Skips
from data_pipelines.sources.source import Source, sources


@sources.register("rot13")
@dataclass(frozen=True, kw_only=True)
class Rot13Lines(Source):
    """Lines of a text file, each letter moved by 13.

    Args:
        lines: text file, one caption a line.
        side: of the pictures in pixels.
    """

    lines: Path
    side: int = 8

    def __post_init__(self) -> None:
        if self.side < 1:
            raise DataError(f"--side {self.side}: give at least 1")

    def samples(self, skips: Skips) -> Iterator[Sample]:
        """One sample a line; empty lines are counted."""
        for number, line in enumerate(self.lines.read_text(encoding="utf-8").splitlines()):
            if not line.strip():
                skips.add("empty line", f"{self.lines}:{number + 1}")
                continue
            data = _picture(number, self.side)
            yield Sample(
                uid=make_uid("rot13", str(number), data),
                image=data,
                image_suffix="png",
                captions=(codecs.encode(line, "rot13"),),
                provenance={"source": "rot13", "key": str(number)},
            )


def _picture(number: int, side: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (number % 256, 80, 160)).save(buffer, "PNG")
    return buffer.getvalue()
