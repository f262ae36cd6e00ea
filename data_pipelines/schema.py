"""One image with its captions: the record every source yields and every shard stores."""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from data_pipelines.errors import DataError

JsonValue: TypeAlias = str | int | float | bool | list[Any] | dict[str, Any] | None

#: Encoded image formats a shard may hold, by the suffix of their member.
IMAGE_SUFFIXES = ("png", "jpg", "webp")

_UID_PATTERN = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """An encoded image and what is known about it.

    Args:
        uid: permanent id, 32 lower-case hexadecimal digits (see ``make_uid``).
        image: encoded bytes, never decoded pixels.
        image_suffix: "png", "jpg" or "webp".
        captions: descriptions of the image, best first; may be empty when ``label`` is set.
        label: class index in the class list of its split, or None.
        provenance: where the sample comes from; stored as JSON beside the image.

    Raises:
        DataError: the uid or the suffix is malformed.
    """

    uid: str
    image: bytes = field(repr=False)
    image_suffix: str
    captions: tuple[str, ...]
    label: int | None = None
    provenance: dict[str, JsonValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not is_uid(self.uid):
            raise DataError(f"uid '{self.uid}' is not 32 hexadecimal digits; build it by make_uid")
        if self.image_suffix not in IMAGE_SUFFIXES:
            known = ", ".join(IMAGE_SUFFIXES)
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
