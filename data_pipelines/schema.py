"""What a sample is, by role: the record every source yields, and what a shard may hold of it.

A stored sample has members named by suffix; ``data_pipelines.shards.stored_sample`` reads them.
One role is one thing a task or a model may ask for, wherever in the members it lies:

=========  ===========================================================================
role       where it lies
=========  ===========================================================================
image      png, jpg, webp, gif, bmp, tif, avif, heic or jp2 (``image_formats``)
captions   "captions" of json (a list), else txt, else "caption" of json
label      cls: the index of a class
uid        "uid" of json, else name and content of the shard, and the key
identity   "identity" of json: who or what the picture shows
question   "question" and "answers" of json
factors    the object "factors" of json: what is unusual about the picture
clips      a video (mp4, webm, mkv, mov, avi...: ``VIDEO_SUFFIXES``), with the list "clips" of
           json: {"start", "end", "caption"}, seconds; without it one clip, the whole video;
           frames.index beside it says where its frames are (``data_pipelines.video``)
frames     frame.0.jpg, frame.1.jpg... (jpg, jpeg, png or webp), or frames.npy: uint8,
           frames x height x width x 3
sound      wav, flac, mp3 or ogg
boxes      the list "boxes" of json: [left, top, right, bottom] or {"box": [...],
           "label": text or number}, pixels of the upright picture; masks, crowds and what else
           detection needs beside them: ``data_pipelines.detection.stored``
masks      mask.png and seg.png
=========  ===========================================================================
"""

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from data_pipelines.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8

JsonValue: TypeAlias = str | int | float | bool | list[Any] | dict[str, Any] | None

#: Encoded image formats that shards of ours hold, by the suffix of their member.
IMAGE_SUFFIXES = ("png", "jpg", "webp")
#: Encoded video formats.
VIDEO_SUFFIXES = (
    *("mp4", "webm", "mkv", "mov", "avi", "m4v", "3gp"),
    *("mpg", "mpeg", "ts", "vob", "flv", "wmv"),
)
#: Encoded sound formats.
SOUND_SUFFIXES = ("wav", "flac", "mp3", "ogg")

_UID_PATTERN = re.compile(r"[0-9a-f]{32}")


class EncodedImage(NamedTuple):
    """Image bytes with the suffix that names their format ("png", "jpg", "gif"...)."""

    suffix: str
    data: bytes


class Captions(NamedTuple):
    """Usable captions of a sample, and what had to be put right in them, for counting.

    The texts are not blank, without control characters, and at most 8 KiB of UTF-8 each.
    """

    texts: tuple[str, ...]
    mended: tuple[str, ...]


class Question(NamedTuple):
    """A question about an image, and what people answered."""

    text: str
    answers: tuple[str, ...]


class Clip(NamedTuple):
    """A span of an encoded video.

    Attributes:
        suffix: of the video's format.
        data: the whole video, encoded; clips of one sample share it.
        start: seconds from its begin.
        end: seconds from its begin; None is its end.
        caption: of this span alone; empty where there is none.
        index: of the video's frames, as it is stored; empty where there is none.
    """

    suffix: str
    data: bytes
    start: float = 0.0
    end: float | None = None
    caption: str = ""
    index: bytes = b""


class Frames(NamedTuple):
    """Pictures in order of time: encoded one by one, or the pixels of all.

    Attributes:
        images: encoded; empty where there are pixels.
        pixels: None where there are encoded images.
    """

    images: tuple[EncodedImage, ...]
    pixels: "UInt8[np.ndarray, 'frames height width 3'] | None" = None


class EncodedSound(NamedTuple):
    """Sound bytes with the suffix that names their format."""

    suffix: str
    data: bytes


class Box(NamedTuple):
    """A rectangle in a picture, in pixels from its upper left corner.

    Attributes:
        label: what it holds: a name, or the index of a class; None where nothing is said.
    """

    left: float
    top: float
    right: float
    bottom: float
    label: str | int | None = None


class Mask(NamedTuple):
    """An encoded mask of the size of the picture.

    Attributes:
        name: "mask" (share of the object in each pixel) or "seg" (number of the segment).
        data: a PNG.
    """

    name: str
    data: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """An encoded image or video and what is known about it.

    Args:
        uid: permanent id, 32 lower-case hexadecimal digits (see ``make_uid``).
        image: encoded bytes, never decoded pixels.
        image_suffix: "png", "jpg" or "webp", or that of a video ("mp4").
        captions: descriptions of the image, best first; may be empty when ``label`` is set.
        label: class index in the class list of its split, or None.
        provenance: where the sample comes from; stored as JSON beside the image.
        members: what else is stored of it, by suffix ("frame.0.jpg").

    Raises:
        DataError: the uid or the suffix is malformed.
    """

    uid: str
    image: bytes = field(repr=False)
    image_suffix: str
    captions: tuple[str, ...]
    label: int | None = None
    provenance: dict[str, JsonValue] = field(default_factory=dict)
    members: dict[str, bytes] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not is_uid(self.uid):
            raise DataError(f"uid '{self.uid}' is not 32 hexadecimal digits; build it by make_uid")
        if self.image_suffix not in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES):
            known = ", ".join((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))
            raise DataError(f"sample {self.uid}: suffix '{self.image_suffix}' is none of {known}")


def is_uid(text: str) -> bool:
    """Whether ``text`` has the form of a permanent sample id."""
    return _UID_PATTERN.fullmatch(text) is not None


def make_uid(source: str, key: str, image: bytes) -> str:
    """Permanent id of an image: it survives resharding, reordering and renamed shards.

    Args:
        source: name of the collection ("twemoji").
        key: name of the image within the collection.
        image: encoded bytes.
    Returns:
        First 32 hexadecimal digits of SHA-256 over the three parts, each preceded by its length
        (so that moving a character from one part to the next changes the id).
    """
    digest = hashlib.sha256()
    for part in (source.encode(), key.encode("utf-8", "surrogateescape"), image):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()[:32]
