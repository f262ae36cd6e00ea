"""Emoji drawn as line art with the font Noto Emoji: black on white, framed like Twemoji."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, features

#: Side of a picture in pixels, that of the Twemoji PNGs.
SIDE = 72

# Drawn larger and scaled down, so that thin strokes keep their weight wherever they fall.
_OVERSAMPLING = 4


class LineArtist:
    """Draws emoji sequences that the font has a single glyph for.

    Args:
        font_path: NotoEmoji[wght].ttf, a variable font; its regular weight is used.
    """

    def __init__(self, font_path: Path) -> None:
        # Joined sequences (man cook) become one glyph only through the Raqm layout engine.
        engine = ImageFont.Layout.RAQM
        probe = ImageFont.truetype(font_path, 1000, layout_engine=engine)
        side = SIDE * _OVERSAMPLING
        self._font = ImageFont.truetype(
            font_path, round(1000 * side / probe.getlength(_PROBE)), layout_engine=engine
        )
        self._advance = self._font.getlength(_PROBE)
        ascent, descent = self._font.getmetrics()
        self._baseline = (side - (ascent + descent)) / 2 + ascent
        self._blank = self._picture("").tobytes()
        self._missing = self._picture(_UNASSIGNED).tobytes()

    def draw(self, sequence: str) -> Image.Image | None:
        """One emoji (greyscale, 72 x 72), None where the font has no single glyph for it."""
        for text in (sequence, sequence.replace("\ufe0f", "")):
            if abs(self._font.getlength(text) - self._advance) > 1:
                continue
            picture = self._picture(text)
            if picture.tobytes() not in (self._blank, self._missing):
                return picture
        return None

    def _picture(self, text: str) -> Image.Image:
        side = SIDE * _OVERSAMPLING
        canvas = Image.new("L", (side, side), 255)
        origin = ((side - self._advance) / 2, self._baseline)
        ImageDraw.Draw(canvas).text(origin, text, fill=0, font=self._font, anchor="ls")
        return canvas.reduce(_OVERSAMPLING)


#: A glyph every emoji font has; its advance is that of all single emoji.
_PROBE = "\U0001f600"
#: A code point that no font draws; what comes out is the mark for missing glyphs.
_UNASSIGNED = "\U000e0fff"


def can_shape_sequences() -> bool:
    """Whether Pillow was built with Raqm, without which joined sequences cannot be drawn."""
    return bool(features.check("raqm"))
