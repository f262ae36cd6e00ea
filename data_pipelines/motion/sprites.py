"""Pictures that are moved: emoji or cut-outs of shards, split before anything is drawn.

Which sprites train and which test depends on their names alone, never on a seed, so the test is
the same whatever is trained on. Variants of one emoji share a base and never cross the splits.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from data_pipelines.cut_outs import CLEAR, cut_out
from data_pipelines.errors import BadSampleError, ConfigError, DataError
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.stored_sample import StoredSample
from data_pipelines.skips import Skips
from data_pipelines.twemoji.collection import Collection

#: Of ten sprites, so many for each of validation and test.
_VALIDATION, _TEST = 1, 2
_SHARES = 10

_MAX_WORDS = 3
_NAME = re.compile(r"[a-z]+(?:[ -][a-z]+)*")
#: Words that would give an answer away, or say something of another thing.
_TELLING = re.compile(
    "left|right|up|down|upwards|downwards|upside|rightwards|leftwards|north|south|east|west|middle|"
    "clockwise|counterclockwise|anticlockwise|clock|hour|thirty|arrows?|button|symbol|sign|"
    "mark|one|two|three|first|last|top|back|end|soon|on|fast|forward|reverse|play|pause|stop|"
    "repeat|shuffle|moon|sun"
)
_PLURAL = re.compile(r"[^s]s")

#: Sprites of a split at least.
_FEWEST = 4

_SIDE = 72  # pixels; that of Twemoji
#: Mean difference of a sprite and its quarter turns, of 255, from which a turn can be seen.
_SEEN_TURNING = 24.0


class Sprite(NamedTuple):
    """One picture to move.

    Attributes:
        key: of its source ("1f431"), for the json of what is made of it.
        name: plain English, lower case, singular.
        pixels: RGBA, its longest side is 72 pixels.
        shows_turning: whether it looks different after each quarter turn.
    """

    key: str
    name: str
    pixels: UInt8[np.ndarray, "height width 4"]
    shows_turning: bool


class Splits(NamedTuple):
    """Sprites by what they are for; no two of them share a base or a name."""

    train: tuple[Sprite, ...]
    validation: tuple[Sprite, ...]
    test: tuple[Sprite, ...]


class _Found(NamedTuple):
    key: str
    base: str
    name: str
    image: bytes


def load_sprites(shards: Sequence[str], skips: Skips, *, most: int | None = None) -> Splits:
    """Every usable sprite with a plain name of its own, split by a digest of its base.

    Args:
        shards: tars with cut-out pictures (png with transparency) and short captions; none takes
            the emoji.
        skips: filled with what is left out.
        most: training sprites at most; None takes all.
    Raises:
        ConfigError: ``most`` is too few to make clips of.
        DataError: too few usable pictures for three splits, or a package or shard is missing.
    """
    found = _of_shards(shards, skips) if shards else _of_emoji(skips)
    parts: tuple[list[Sprite], list[Sprite], list[Sprite]] = ([], [], [])
    for one in sorted(_distinct(found, skips), key=lambda one: _rank(one.base, one.key)):
        sprite = _sprite(one, skips)
        if sprite is not None:
            parts[_part(one.base)].append(sprite)
    train, validation, test = parts
    if most is not None and most < _FEWEST:
        raise ConfigError(
            f"--sprites {most}: take at least {_FEWEST}, so that a clip has others to show"
        )
    if min(map(len, parts)) < _FEWEST or not all(
        any(s.shows_turning for s in part) for part in parts
    ):
        raise DataError(
            f"{len(train)}, {len(validation)} and {len(test)} sprites for training, validation "
            "and test are too few; give shards with more cut-out pictures (png with "
            "transparency, captions of one to three words)"
        )
    if not any(sprite.shows_turning for sprite in train[:most]):
        first = next(place for place, sprite in enumerate(train) if sprite.shows_turning)
        raise ConfigError(
            f"--sprites {most}: none of these looks different when it is turned, which a kind of "
            f"question needs; take {first + 1} or more"
        )
    return Splits(tuple(train[:most]), tuple(validation), tuple(test))


def _of_emoji(skips: Skips) -> Iterator[_Found]:
    for key, picture in Collection(Skips()).pictures.items():
        emoji = picture.emoji
        if emoji.num_modifiers or emoji.is_component or picture.name.is_flag:
            skips.add("emoji that is a variant or a flag", key)
            continue
        base = "-".join(f"{point:x}" for point in emoji.base)
        yield _Found(key, base, picture.name.english, picture.image)


def _of_shards(paths: Sequence[str], skips: Skips) -> Iterator[_Found]:
    for path in find_shards(paths):
        index = ShardIndex.open(path)
        for number in range(len(index)):
            sample = StoredSample(index.key(number), index.read(number))
            try:
                caption = sample.captions.texts[0]
                name = re.sub(r"^(an?|the) ", "", caption.lower().strip(" ."))
                yield _Found(sample.uid, name, name, sample.image.data)
            except DataError as error:
                skips.add("unusable sample", f"{path.name}: {sample.key}: {error}")


def _distinct(found: Iterable[_Found], skips: Skips) -> Iterator[_Found]:
    """Those with plain names, the first of each name."""
    names: set[str] = set()
    for one in sorted(found, key=lambda one: one.key):
        words = one.name.lower().replace("-", " ").split()
        is_plain = _NAME.fullmatch(one.name.lower()) and len(words) <= _MAX_WORDS
        if not is_plain or any(map(_TELLING.fullmatch, words)) or _PLURAL.fullmatch(words[-1][-2:]):
            skips.add("name is not plain, plural, or tells of motion", f"{one.key}: {one.name}")
        elif one.name.lower() in names:
            skips.add("name of another sprite", f"{one.key}: {one.name}")
        else:
            names.add(one.name.lower())
            yield one._replace(name=one.name.lower())


def _sprite(found: _Found, skips: Skips) -> Sprite | None:
    """The cut-out picture, trimmed and scaled; None where nothing is cut out."""
    try:
        pixels = cut_out(found.image, side=_SIDE)
    except BadSampleError as error:
        detail = str(error).removeprefix(error.kind)
        skips.add(error.kind, f"{found.key}{detail}")
        return None
    return Sprite(found.key, found.name, pixels, _shows_turning(pixels))


def _shows_turning(pixels: UInt8[np.ndarray, "height width 4"]) -> bool:
    """Whether each quarter turn differs from the picture, transparent parts counted as grey."""
    canvas = Image.new("RGBA", (_SIDE, _SIDE))
    picture = Image.fromarray(pixels)
    canvas.paste(picture, ((_SIDE - picture.width) // 2, (_SIDE - picture.height) // 2))
    rgba = np.asarray(canvas).astype(np.float64)
    alpha = rgba[..., 3:] / 255
    shown = rgba[..., :3] * alpha + 128 * (1 - alpha)
    weight = float((rgba[..., 3] >= CLEAR).mean())
    turned = (np.abs(np.rot90(shown, quarter) - shown).mean() for quarter in (1, 2, 3))
    return bool(min(turned) >= _SEEN_TURNING * weight)


def _part(base: str) -> int:
    place = _rank("split", base)[0] % _SHARES
    return 2 if place < _TEST else 1 if place < _TEST + _VALIDATION else 0


def _rank(*parts: str) -> bytes:
    return hashlib.sha256("/".join(("motion", *parts)).encode()).digest()
