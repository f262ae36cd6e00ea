"""A video as one picture: some of its frames side by side, for looking at."""

from collections.abc import Sequence

from PIL import Image


def strip_of(
    pictures: Sequence[Image.Image], *, height: int, columns: int | None = None
) -> Image.Image:
    """Pictures of the size of the first one, side by side, in rows.

    Args:
        pictures: at least one.
        height: of each in the strip, in pixels.
        columns: pictures in a row; None puts all into one.
    """
    first = pictures[0]
    width = max(1, round(first.width * height / first.height))
    columns = columns or len(pictures)
    rows = -(-len(pictures) // columns)
    strip = Image.new("RGB", (columns * (width + 1) - 1, rows * (height + 1) - 1), "white")
    for number, picture in enumerate(pictures):
        place = (number % columns * (width + 1), number // columns * (height + 1))
        strip.paste(picture.resize((width, height), Image.Resampling.BOX), place)
    return strip
