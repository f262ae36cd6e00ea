"""What the members of one sample mean: image, captions, class, permanent id.

The members come from a shard of anyone's making: {suffix: bytes}. Nothing here decodes pixels
and nothing is unpickled.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple

from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.shards.text import TOO_LONG, clean_caption, decode_text

#: Captions that a sample may have too much of: more are left out, and flagged.
MAX_CAPTIONS = 1000

_MAX_TEXT = 1 << 16  # bytes of a txt member that are looked at; a caption keeps 8 KiB at most
_MAX_JSON = 1 << 24  # bytes
_MAX_UID = 256  # characters

_SUFFIX_OF_MEMBER = {"png": "png", "jpg": "jpg", "jpeg": "jpg", "webp": "webp"}


class EncodedImage(NamedTuple):
    """Image bytes with the suffix that names their format ("png", "jpg" or "webp")."""

    suffix: str
    data: bytes


def image_of(members: Mapping[str, bytes]) -> EncodedImage:
    """The encoded image of a sample.

    Raises:
        BadSampleError: no member is a png, jpg, jpeg or webp.
    """
    for suffix, data in members.items():
        if suffix in _SUFFIX_OF_MEMBER:
            return EncodedImage(_SUFFIX_OF_MEMBER[suffix], data)
    raise BadSampleError("no image", f"no png, jpg or webp among the members {_listed(members)}")


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


class Captions(NamedTuple):
    """Usable captions of a sample, and what had to be put right in them, for counting.

    The texts are not blank, without control characters, and at most 8 KiB of UTF-8 each.
    """

    texts: tuple[str, ...]
    mended: tuple[str, ...]


def read_captions(members: Mapping[str, bytes]) -> Captions:
    """Captions for training: the list "captions" of the json if it holds any, else the txt.

    Where ``captions_of`` refuses, this puts right what can be: text that is not UTF-8 is
    converted, control characters go, what is too long is cut; each is noted in ``mended``.

    Raises:
        BadSampleError: "no caption", "broken json" or "unknown text encoding".
    """
    mended: dict[str, None] = {}
    fields, notes = _lenient_fields(members)
    listed = fields.get("captions")
    if isinstance(listed, list):
        given = [caption for caption in listed[:MAX_CAPTIONS] if isinstance(caption, str)]
        if len(given) < len(listed):
            mended["captions of a wrong type or too many"] = None
        texts = _cleaned(given, mended)
        if texts:
            return Captions(texts, (*notes, *(note for note in mended if note not in notes)))
    data = members.get("txt", b"")
    decoded = decode_text(data[:_MAX_TEXT], name="txt") if data else None
    texts = _cleaned([decoded.text], mended) if decoded else ()
    if not texts:
        raise BadSampleError("no caption", f"none in txt or json ({_listed(members)})")
    assert decoded is not None
    if len(data) > _MAX_TEXT:
        mended[TOO_LONG] = None
    mended.update(dict.fromkeys(decoded.mended))
    return Captions(texts, tuple(mended))


def _cleaned(captions: list[str], mended: dict[str, None]) -> tuple[str, ...]:
    texts = []
    for caption in captions:
        text, notes = clean_caption(caption)
        if text:
            texts.append(text)
            mended.update(dict.fromkeys(notes))
    return tuple(texts)


def _lenient_fields(members: Mapping[str, bytes]) -> tuple[dict, tuple[str, ...]]:
    """The json member as a dictionary, and what was put right in its text.

    Of a repeated name the last value counts; "NaN" is read as a number. Neither can reach a
    caption or an id.
    """
    if "json" not in members:
        return {}, ()
    if len(members["json"]) > _MAX_JSON:
        raise BadSampleError("broken json", f"json of {len(members['json'])} bytes is too large")
    decoded = decode_text(members["json"], name="json")
    try:
        fields = json.loads(decoded.text)
    except (ValueError, RecursionError) as error:
        raise BadSampleError("broken json", " ".join(str(error).split())[:120]) from error
    if not isinstance(fields, dict):
        raise BadSampleError("broken json", f"it holds a {type(fields).__name__}, not an object")
    return fields, decoded.mended


def label_of(members: Mapping[str, bytes]) -> int | None:
    """Class index of a sample, None where it has no cls member.

    Raises:
        DataError: cls is not a non-negative decimal number.
    """
    if "cls" not in members:
        return None
    text = _text(members, "cls").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise DataError(f"cls holds {text[:40]!r}, not a class number")
    return int(text)


def uid_of(key: str, members: Mapping[str, bytes]) -> str:
    """Permanent id from the json member, else ``key``, which is unique in its shard only.

    The result can be printed: an id that cannot, or of more than 256 characters, is passed over,
    and what cannot be printed in ``key`` is written as escapes.

    Raises:
        BadSampleError: json is broken.
    """
    uid = _lenient_fields(members)[0].get("uid")
    if isinstance(uid, str) and 0 < len(uid) <= _MAX_UID and uid.isprintable():
        return uid
    return printable(key)


def identity_of(members: Mapping[str, bytes]) -> str | None:
    """Who or what the picture shows, from "identity" of the json; None where it says nothing.

    Raises:
        BadSampleError: json is broken.
    """
    identity = _lenient_fields(members)[0].get("identity")
    is_usable = isinstance(identity, str | int) and not isinstance(identity, bool)
    return str(identity)[:_MAX_UID] if is_usable and identity != "" else None


def printable(text: str) -> str:
    """Text that terminals, logs and UTF-8 files can hold, with escapes where it is not."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


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
    shown = [printable(suffix[:40]) for suffix in list(members)[:8]]
    return ", ".join(shown + ["..."] * (len(members) > 8)) or "(none)"
