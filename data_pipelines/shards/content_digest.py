"""What a shard holds in one word, so that another content under the same name is noticed.

Made in the walk over the headers, which passes by every member anyway: names and sizes of all
members, the whole of texts and of small members, and both ends of the others. A caption changed in
place, samples in another order and another picture of the same size give another digest; a copy
elsewhere and the same members with other times or owners give the same. What changes in the middle
of a large picture alone is left to checksums (``vlsuite data validate`` compares those of the
manifest).
"""

import hashlib
from io import BufferedIOBase

from data_pipelines.shards.tar_headers import Header

_TEXTS = frozenset(("txt", "json", "cls", "caption", "captions", "text", "csv", "tsv"))
_WHOLE = 8 << 10  # bytes; smaller members are read whole
_WHOLE_TEXT = 1 << 20  # bytes
_END = 4 << 10  # bytes at either end of the others
_LENGTH = 32  # hexadecimal digits


class ContentDigest:
    """Takes the members of a shard one by one, in their order."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, stream: BufferedIOBase, member: Header) -> None:
        """Take a member that lies wholly in the file.

        Args:
            stream: of the shard.
        """
        name = member.name.encode("utf-8", "surrogateescape")
        self._digest.update(b"%d %d:%b" % (len(name), member.size, name))
        suffix = member.name.rpartition(".")[2].lower()
        whole = _WHOLE_TEXT if suffix in _TEXTS else _WHOLE
        stream.seek(member.offset)
        if member.size <= whole:
            self._digest.update(stream.read(member.size))
            return
        self._digest.update(stream.read(_END))
        stream.seek(member.offset + member.size - _END)
        self._digest.update(stream.read(_END))

    def word(self) -> str:
        """32 hexadecimal digits of SHA-256 over all members so far."""
        return self._digest.hexdigest()[:_LENGTH]
