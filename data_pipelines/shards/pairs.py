"""What the members of one sample mean: image, captions, class, permanent id.

The members come from a shard of anyone's making: {suffix: bytes}. Nothing here decodes pixels
and nothing is unpickled.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple

from data_pipelines.errors import DataError

_SUFFIX_OF_MEMBER = {"png": "png", "jpg": "jpg", "jpeg": "jpg", "webp": "webp"}


class EncodedImage(NamedTuple):
    """Image bytes with the suffix that names their format ("png", "jpg" or "webp")."""

    suffix: str
    data: bytes


def image_of(members: Mapping[str, bytes]) -> EncodedImage:
    """The encoded image of a sample.

    Raises:
        DataError: no member is a png, jpg, jpeg or webp.
    """
    for suffix, data in members.items():
        if suffix in _SUFFIX_OF_MEMBER:
            return EncodedImage(_SUFFIX_OF_MEMBER[suffix], data)
    raise DataError(f"no image (png, jpg, webp) among the members {_listed(members)}")


def captions_of(members: Mapping[str, bytes], *, one_per_line: bool) -> tuple[str, ...]:
    """Captions of a sample: the list "captions" of its json if there is one, else its txt.

    Blank captions are left out; a sample without captions gives an empty tuple.

    Args:
        one_per_line: whether each line of txt is a caption (evaluation folders, where a line
            break inside a caption is written as backslash n) or txt is a single caption.
    Raises:
        DataError: txt is not UTF-8, or json is broken.
    """
    listed = fields_of(members).get("captions")
    if isinstance(listed, list):
        captions = [caption for caption in listed if isinstance(caption, str)]
    else:
        text = _text(members, "txt")
        captions = text.split("\n") if one_per_line else [text]
        if one_per_line:
            captions = [caption.replace("\\n", "\n") for caption in captions]
    return tuple(stripped for caption in captions if (stripped := caption.strip()))


def label_of(members: Mapping[str, bytes]) -> int | None:
    """Class index of a sample, None where it has no cls member.

    Raises:
        DataError: cls is not a non-negative decimal number.
    """
    if "cls" not in members:
        return None
    text = _text(members, "cls").strip()
    if not (text.isascii() and text.isdigit()):
        raise DataError(f"cls holds {text[:40]!r}, not a class number")
    return int(text)


def uid_of(key: str, members: Mapping[str, bytes]) -> str:
    """Permanent id from the json member, else ``key``, which is unique in its shard only.

    Raises:
        DataError: json is broken.
    """
    uid = fields_of(members).get("uid")
    return uid if isinstance(uid, str) and uid else key


def fields_of(members: Mapping[str, bytes]) -> dict:
    """The json member as a dictionary, empty where there is none.

    Raises:
        DataError: json does not parse, or is not an object.
    """
    if "json" not in members:
        return {}
    try:
        fields = json.loads(_text(members, "json"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"json does not parse: {error}") from error
    if not isinstance(fields, dict):
        raise DataError(f"json holds a {type(fields).__name__}, not an object")
    return fields


def _text(members: Mapping[str, bytes], suffix: str) -> str:
    try:
        return members.get(suffix, b"").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{suffix} is not UTF-8: {error}") from error


def _listed(members: Mapping[str, bytes]) -> str:
    return ", ".join(members) or "(none)"
