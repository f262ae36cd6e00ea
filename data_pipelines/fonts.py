"""A font whose letters are those of most alphabets, for text in pictures."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

from PIL import ImageFont

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont


@cache
def font_of(size: int, *, bold: bool = False) -> Font:
    """DejaVu Sans, which comes with matplotlib (Latin, Greek, Cyrillic, Arabic and more).

    It is found without importing matplotlib, which takes long. Where it is missing, Pillow's own,
    which has English letters alone.
    """
    found = find_spec("matplotlib")
    folders = found.submodule_search_locations if found else None
    for folder in folders or ():
        name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
        path = Path(folder, "mpl-data", "fonts", "ttf", name)
        if path.is_file():
            return ImageFont.truetype(str(path), size)
    return ImageFont.load_default(size=size)
