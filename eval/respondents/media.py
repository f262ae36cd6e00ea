"""Pictures and sounds that are in memory."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BytesMedia:
    """A picture or sound that is in memory already; satisfies ``Media``."""

    name: str
    data: bytes

    def read(self) -> bytes:
        """See ``Media``."""
        return self.data
