"""One sample as a shard stores it, each role read when it is asked for; see ``schema``.

The members come from a shard of anyone's making: {suffix: bytes}. Nothing here decodes pixels
and nothing is unpickled. The json member is parsed once, whatever is asked of it.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

from data_pipelines.bounded_json import parsed_json
from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.image_formats import FORMAT_OF_SUFFIX
from data_pipelines.schema import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    Box,
    Captions,
    Clip,
    EncodedImage,
    EncodedSound,
    Frames,
    JsonValue,
    Mask,
    Question,
)
from data_pipelines.shards import roles
from data_pipelines.shards.text import TOO_LONG, clean_caption, cut_caption, decode_text

#: Captions that a sample may have too much of: more are left out, and flagged.
MAX_CAPTIONS = 1000

_MAX_TEXT = 1 << 16  # bytes of a txt member that are looked at; a caption keeps 8 KiB at most
_MAX_JSON = 1 << 24  # bytes
_MAX_UID = 256  # characters
_ARCHIVES = frozenset(("tar", "tgz", "gz", "zip", "zst", "7z"))


class _Json(NamedTuple):
    """The json member, and what was put right in its text."""

    fields: dict[str, JsonValue]
    mended: tuple[str, ...] = ()


class StoredSample:
    """The members of one sample by role. Every property may raise ``DataError``.

    Training reads leniently (``captions``, ``uid``, ``identity``): text in another encoding is
    converted and what was mended is noted. Evaluation reads strictly (``plain_captions``,
    ``fields`` and what rests on them): nothing is put right that a score would depend on.

    Args:
        key: name of the sample in its shard.
        members: by suffix: "jpg", "txt", "json", "mask.png"...
        name: what it is called where its json has no uid (``ShardIndex.name``); None takes the
            key, which is unique in its shard only.
    """

    def __init__(self, key: str, members: Mapping[str, bytes], *, name: str | None = None) -> None:
        self.key = key
        self._name = key if name is None else name
        self.members = members
        self.first_caption = 0

    def member(self, suffix: str) -> bytes | None:
        """The bytes of one member; None where there is none."""
        return self.members.get(suffix)

    @property
    def image(self) -> EncodedImage:
        """The encoded image.

        Raises:
            BadSampleError: no member is a picture by its suffix (``image_formats``). Of several
                a png, jpg or webp goes before the other formats.
        """
        found = [suffix for suffix in self.members if suffix in FORMAT_OF_SUFFIX]
        if not found:
            raise self._without_image()
        usual = (suffix for suffix in found if FORMAT_OF_SUFFIX[suffix] in IMAGE_SUFFIXES)
        suffix = next(usual, found[0])
        return EncodedImage(FORMAT_OF_SUFFIX[suffix], self.members[suffix])

    def _without_image(self) -> BadSampleError:
        """Why there is none, where the members tell."""
        listed = self._listed()
        if any(suffix in VIDEO_SUFFIXES for suffix in self.members):
            return BadSampleError(
                "no image", f"a video (members {listed}); model=frozen_in_time is trained on videos"
            )
        endings = [suffix.rpartition(".")[2] for suffix in self.members]
        if any(ending in _ARCHIVES for ending in endings):
            return BadSampleError(
                "an archive in the archive", f"members {listed}; unpack the outer one first"
            )
        if any(ending in FORMAT_OF_SUFFIX for ending in endings):
            return BadSampleError(
                "no image",
                f"the members are {listed}: WebDataset ends a key at the first dot of the file "
                "name; rename files so that only their ending follows a dot",
            )
        return BadSampleError(
            "no image",
            f"no picture among the members {listed}; members of one sample must be neighbours in "
            "the tar and share what stands before the first dot of their names",
        )

    def plain_captions(self, *, one_per_line: bool) -> tuple[str, ...]:
        """Captions as written: "captions" of the json, else the txt, else "caption" of the json.

        Blank captions are left out, and of longer ones the first 8 KiB are kept, as in training
        (tokenizers take minutes over a megabyte without a space); a sample without captions gives
        an empty tuple.

        Args:
            one_per_line: whether each line of txt is a caption (evaluation folders, where a line
                break inside a caption is written as backslash n) or txt is a single caption.
        Raises:
            DataError: txt is not UTF-8, or json is broken.
        """
        listed = next(self._listed_captions(self.fields), None)
        if listed is not None:
            captions = [caption for caption in listed if isinstance(caption, str)]
        else:
            text = self._text("txt")
            captions = text.split("\n") if one_per_line else [text]
            if one_per_line:
                captions = [caption.replace("\\n", "\n") for caption in captions]
        return tuple(cut for caption in captions if (cut := cut_caption(caption.strip())))

    @cached_property
    def captions(self) -> Captions:
        """Captions for training: the list "captions" of the json if it holds any, else the txt,
        else "captions" or "caption" of the json as a single text (or "caption" as a list).

        Where ``plain_captions`` refuses, this puts right what can be: text that is not UTF-8 is
        converted, control characters go, what is too long is cut; each is noted in ``mended``.

        Raises:
            BadSampleError: "no caption", "broken json" or "unknown text encoding".
        """
        mended: dict[str, None] = {}
        fields, notes = self._json
        for listed in self._listed_captions(fields):
            given = [caption for caption in listed[:MAX_CAPTIONS] if isinstance(caption, str)]
            if len(given) < len(listed):
                mended["captions of a wrong type or too many"] = None
            texts = _cleaned(given, mended)
            if texts:
                return Captions(texts, (*notes, *(note for note in mended if note not in notes)))
        data = self.members.get("txt", b"")
        decoded = decode_text(data[:_MAX_TEXT], name="txt") if data else None
        texts = _cleaned([decoded.text], mended) if decoded else ()
        if not texts:
            names = ", ".join(printable(name[:40]) for name in list(fields)[:8])
            raise BadSampleError(
                "no caption",
                f"none in txt or in 'captions' or 'caption' of json (members {self._listed()}"
                + (f"; json has {names})" if names else ")"),
            )
        assert decoded is not None
        if len(data) > _MAX_TEXT:
            mended[TOO_LONG] = None
        mended.update(dict.fromkeys(decoded.mended))
        return Captions(texts, tuple(mended))

    def say(self, captions: Captions, *, first: int = 0) -> None:
        """Let other captions stand for those that it came with.

        Args:
            first: number of the first of them among all captions of the sample.
        """
        self.__dict__["captions"] = captions
        self.first_caption = first

    @property
    def stored_caption(self) -> str:
        """The first of ``captions`` as it is stored: nothing stripped or put right, and cut only
        where a txt has more than 64 KiB.

        Raises:
            BadSampleError: "no caption", "broken json" or "unknown text encoding".
        """
        usable = self.captions  # says what is wrong where there is none
        for listed in self._listed_captions(self._json.fields):
            for caption in listed[:MAX_CAPTIONS]:
                if isinstance(caption, str) and clean_caption(caption).text == usable.texts[0]:
                    return caption
        return decode_text(self.members["txt"][:_MAX_TEXT], name="txt").text

    @property
    def label(self) -> int | None:
        """Class index, None without a cls member.

        Raises:
            DataError: cls is not a non-negative decimal number.
        """
        if "cls" not in self.members:
            return None
        text = self._text("cls").strip()
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise DataError(f"cls holds {text[:40]!r}, not a class number")
        return int(text)

    @property
    def uid(self) -> str:
        """Permanent id from the json member, else the name, made of shard and key.

        The result can be printed: an id that cannot, or of more than 256 characters, is passed
        over, and what cannot be printed in the name is written as escapes.

        Raises:
            BadSampleError: json is broken.
        """
        uid = self._json.fields.get("uid")
        if isinstance(uid, str) and 0 < len(uid) <= _MAX_UID and uid.isprintable():
            return uid
        return printable(self._name)

    @property
    def identity(self) -> str | None:
        """Who or what the picture shows, from "identity" of the json; None where it says nothing.

        Raises:
            BadSampleError: json is broken.
        """
        identity = self._json.fields.get("identity")
        is_usable = isinstance(identity, str | int) and not isinstance(identity, bool)
        return str(identity)[:_MAX_UID] if is_usable and identity != "" else None

    @property
    def question(self) -> Question | None:
        """Text and usable answers of the json: texts, or objects with "answer" as VQA has them.

        None without a question, or where no answer to it is usable.

        Raises:
            DataError: json is broken.
        """
        text, listed = self.fields.get("question"), self.fields.get("answers")
        each = listed if isinstance(listed, list) else [listed]
        answers = [a.get("answer") if isinstance(a, dict) else a for a in each]
        usable = tuple(a for a in answers if isinstance(a, str) and a.strip())
        if not isinstance(text, str) or not text.strip() or not usable:
            return None
        return Question(text, usable)

    @property
    def factors(self) -> Mapping[str, JsonValue]:
        """What is unusual about the picture, by name; empty where the json says nothing.

        Raises:
            DataError: json is broken.
        """
        factors = self.fields.get("factors")
        return factors if isinstance(factors, dict) else {}

    @property
    def clips(self) -> tuple[Clip, ...]:
        """See ``data_pipelines.shards.roles.clips_of``."""
        return roles.clips_of(self.members, self.fields)

    @property
    def frames(self) -> Frames | None:
        """See ``data_pipelines.shards.roles.frames_of``."""
        return roles.frames_of(self.members)

    @property
    def sound(self) -> EncodedSound | None:
        """See ``data_pipelines.shards.roles.sound_of``."""
        return roles.sound_of(self.members)

    @property
    def boxes(self) -> tuple[Box, ...]:
        """See ``data_pipelines.shards.roles.boxes_of``."""
        return roles.boxes_of(self.fields)

    @property
    def masks(self) -> tuple[Mask, ...]:
        """See ``data_pipelines.shards.roles.masks_of``."""
        return roles.masks_of(self.members)

    @cached_property
    def fields(self) -> dict[str, JsonValue]:
        """The json member as a dictionary, empty where there is none.

        Raises:
            DataError: json is not UTF-8, does not parse, or is not an object.
        """
        try:
            fields, mended = self._json
        except BadSampleError:
            mended, fields = ("broken",), {}
        return fields if not mended else self._strict_fields()

    @cached_property
    def _json(self) -> _Json:
        """The json member, read leniently.

        Of a repeated name the last value counts; "NaN" is read as a number. Neither can reach a
        caption or an id.
        """
        if "json" not in self.members:
            return _Json({})
        data = self.members["json"]
        if len(data) > _MAX_JSON:
            raise BadSampleError("broken json", f"json of {len(data)} bytes is too large")
        decoded = decode_text(data, name="json")
        try:
            fields = parsed_json(decoded.text)
        except (ValueError, RecursionError) as error:
            raise BadSampleError("broken json", " ".join(str(error).split())[:120]) from error
        if not isinstance(fields, dict):
            raise BadSampleError(
                "broken json", f"it holds a {type(fields).__name__}, not an object"
            )
        return _Json(fields, decoded.mended)

    def _strict_fields(self) -> dict[str, JsonValue]:
        """Of what cannot be read leniently without putting something right."""
        try:
            fields = parsed_json(self._text("json"))
        except (ValueError, RecursionError) as error:
            raise DataError(f"json does not parse: {error}") from error
        if not isinstance(fields, dict):
            raise DataError(f"json holds a {type(fields).__name__}, not an object")
        return fields

    def _listed_captions(self, fields: Mapping[str, JsonValue]) -> Iterator[list[JsonValue]]:
        """Lists of captions in the json, the best first; a single text only where txt has none."""
        has_txt = bool(self.members.get("txt", b"").strip())
        for name in ("captions",) if has_txt else ("captions", "caption"):
            value = fields.get(name)
            if isinstance(value, list):
                yield value
            elif isinstance(value, str) and not has_txt:
                yield [value]

    def _text(self, suffix: str) -> str:
        try:
            return self.members.get(suffix, b"").decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"{suffix} is not UTF-8: {error}") from error

    def _listed(self) -> str:
        shown = [printable(suffix[:40]) for suffix in list(self.members)[:8]]
        return ", ".join(shown + ["..."] * (len(self.members) > 8)) or "(none)"


def printable(text: str) -> str:
    """Text that terminals, logs and UTF-8 files can hold, with escapes where it is not."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _cleaned(captions: list[str], mended: dict[str, None]) -> tuple[str, ...]:
    texts = []
    for caption in captions:
        text, notes = clean_caption(caption)
        if text:
            texts.append(text)
            mended.update(dict.fromkeys(notes))
    return tuple(texts)
