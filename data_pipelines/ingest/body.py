"""The body of an answer while it comes."""

import zlib

from data_pipelines.ingest import failures
from data_pipelines.ingest.failures import FetchError


class Body:
    """Bytes as they come, unpacked where they are packed, never more than allowed.

    What comes behind the end of a packed body, or unpacks to nothing, counts as it came.

    Args:
        encoding: the ``Content-Encoding`` header.
        most: bytes, unpacked and as they come.
    Raises:
        FetchError: the encoding is none that is known.
    """

    def __init__(self, encoding: str, most: int) -> None:
        self._parts: list[bytes] = []
        self._most = most
        self.size = 0
        self._came = 0
        self._unpack = None
        coding = encoding.strip().lower()
        if coding in ("gzip", "x-gzip", "deflate"):
            self._unpack = zlib.decompressobj(wbits=47 if coding != "deflate" else 15)
        elif coding not in ("", "identity"):
            raise FetchError(failures.BROKEN_ANSWER, "an encoding that was not asked for")

    @property
    def is_full(self) -> bool:
        """Whether more came than is allowed."""
        return max(self.size, self._came) > self._most

    def add(self, piece: bytes, *, cut: bool = False) -> None:
        """Append a piece.

        Args:
            cut: leave what is too much, and do not refuse it.
        Raises:
            FetchError: it is too much, or broken.
        """
        self._came += len(piece)
        if self._unpack is not None:
            if self._unpack.eof:
                piece = b""  # or the object would keep it
            try:
                piece = self._unpack.decompress(piece, self._most + 1 - min(self.size, self._most))
            except zlib.error:
                raise FetchError(failures.BROKEN_ANSWER, "broken gzip") from None
        self.size += len(piece)
        self._parts.append(piece)
        if self.is_full and not cut:
            raise FetchError(failures.TOO_LARGE, f"over {self._most} bytes", http_status=200)

    def start(self, number: int) -> bytes:
        """The first bytes."""
        return b"".join(self._parts)[:number]

    def whole(self, *, cut: bool = False) -> bytes:
        """All bytes; with ``cut`` as many as are allowed.

        Raises:
            FetchError: a packed body ends early.
        """
        if self._unpack is not None and not self._unpack.eof and not cut:
            raise FetchError(failures.WRONG_LENGTH, "the packed body ends early")
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        return data[: self._most] if cut else data
