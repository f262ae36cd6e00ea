"""What the members of one sample mean, one question at a time; see ``stored_sample``.

For callers that want one thing of a sample; who wants several builds a ``StoredSample``, which
parses the json once.
"""

from collections.abc import Mapping

from data_pipelines.schema import Captions, EncodedImage
from data_pipelines.shards.stored_sample import MAX_CAPTIONS, StoredSample, printable

__all__ = [
    "MAX_CAPTIONS",
    "Captions",
    "EncodedImage",
    "captions_of",
    "fields_of",
    "identity_of",
    "image_of",
    "label_of",
    "printable",
    "read_captions",
    "uid_of",
]


def image_of(members: Mapping[str, bytes]) -> EncodedImage:
    """See ``StoredSample.image``."""
    return StoredSample("", members).image


def captions_of(members: Mapping[str, bytes], *, one_per_line: bool) -> tuple[str, ...]:
    """See ``StoredSample.plain_captions``."""
    return StoredSample("", members).plain_captions(one_per_line=one_per_line)


def read_captions(members: Mapping[str, bytes]) -> Captions:
    """See ``StoredSample.captions``."""
    return StoredSample("", members).captions


def label_of(members: Mapping[str, bytes]) -> int | None:
    """See ``StoredSample.label``."""
    return StoredSample("", members).label


def uid_of(name: str, members: Mapping[str, bytes]) -> str:
    """See ``StoredSample.uid``; ``name`` is that of ``ShardIndex``, or a key."""
    return StoredSample(name, members).uid


def identity_of(members: Mapping[str, bytes]) -> str | None:
    """See ``StoredSample.identity``."""
    return StoredSample("", members).identity


def fields_of(members: Mapping[str, bytes]) -> dict:
    """See ``StoredSample.fields``."""
    return StoredSample("", members).fields
