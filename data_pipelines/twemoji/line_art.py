"""Emoji drawn as line art with the font Noto Emoji: black on white, framed like Twemoji."""

from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFont, features

#: Side of a picture in pixels, that of the Twemoji PNGs.
SIDE = 72

# Drawn larger and scaled down, so that thin strokes keep their weight wherever they fall.
_CANVAS = 4 * SIDE

# Share of the picture's side that a round face fills; in Twemoji it touches the border.
_FACE = 0.96


class LineArtist:
    """Draws emoji sequences that the font has a single glyph for.

    Args:
        font_path: NotoEmoji[wght].ttf, a variable font; its regular weight is used.
    """

    def __init__(self, font_path: Path) -> None:
        # Joined sequences (man cook) become one glyph only through the Raqm layout engine.
        engine = ImageFont.Layout.RAQM
        probe = ImageFont.truetype(font_path, 1000, layout_engine=engine)
        size = round(1000 * _CANVAS / probe.getlength(_PROBE))
        self._font = ImageFont.truetype(font_path, size, layout_engine=engine)
        self._advance = self._font.getlength(_PROBE)
        ascent, descent = self._font.getmetrics()
        self._baseline = (_CANVAS - (ascent + descent)) / 2 + ascent
        left, top, right, bottom = self._ink(self._canvas(_PROBE))
        self._centre = ((left + right) / 2, (top + bottom) / 2)
        self._frame = max(right - left, bottom - top) / _FACE
        self._missing = self._canvas(_UNASSIGNED).tobytes()

    def draw(self, sequence: str) -> Image.Image | None:
        """One emoji (greyscale, 72 x 72), None where the font has no single glyph for it."""
        for text in (sequence, sequence.replace("\ufe0f", "")):
            if abs(self._font.getlength(text) - self._advance) > 1:
                continue
            canvas = self._canvas(text)
            if canvas.getextrema() != (255, 255) and canvas.tobytes() != self._missing:
                return self._framed(canvas)
        return None

    def _canvas(self, text: str) -> Image.Image:
        canvas = Image.new("L", (_CANVAS, _CANVAS), 255)
        origin = ((_CANVAS - self._advance) / 2, self._baseline)
        ImageDraw.Draw(canvas).text(origin, text, fill=0, font=self._font, anchor="ls")
        return canvas

    def _framed(self, canvas: Image.Image) -> Image.Image:
        """The part of the canvas that a face fills, more where the drawing is larger than that."""
        ink = self._ink(canvas)
        x, y = self._centre
        half = max(self._frame / 2, x - ink[0], ink[2] - x, y - ink[1], ink[3] - y)
        # Beyond the canvas there is only white: enlarge it before cutting out.
        margin = _CANVAS // 2
        wide = Image.new("L", (2 * _CANVAS, 2 * _CANVAS), 255)
        wide.paste(canvas, (margin, margin))
        x, y = x + margin, y + margin
        box = (x - half, y - half, x + half, y + half)
        return wide.resize((SIDE, SIDE), Image.Resampling.BOX, box=box)

    @staticmethod
    def _ink(canvas: Image.Image) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of what is drawn; the whole canvas where that is nothing."""
        return ImageChops.invert(canvas).getbbox() or (0, 0, *canvas.size)


#: A glyph every emoji font has; its advance is that of all single emoji.
_PROBE = "\U0001f600"
#: A code point that no font draws; what comes out is the mark for missing glyphs.
_UNASSIGNED = "\U000e0fff"


def can_shape_sequences() -> bool:
    """Whether Pillow was built with Raqm, without which joined sequences cannot be drawn."""
    return bool(features.check("raqm"))
