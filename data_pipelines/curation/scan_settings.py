"""What a scan looks at; light to import, for the command line."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from data_pipelines.curation.languages import Identifier, identifier
from data_pipelines.options import option
from data_pipelines.schema import JsonValue


@dataclass(frozen=True, kw_only=True)
class ScanSettings:
    """What is looked at besides headers, captions and SHA-256; each choice is part of the table.

    Args:
        decode: decode every picture, so that damage in its middle is found too.
        phash: none, scaled (JPEGs at reduced size: four times faster) or full (all pictures by
            one decode path, so that the hashes of all formats can be compared).
        language: of captions, by lid176 (fastText, as DataComp) or cld3 (as LAION); both need the
            extra 'language'.
        language_model: another file for lid176, such as lid.176.bin.
    """

    decode: bool = False
    phash: Literal["none", "scaled", "full"] = "none"
    language: Literal["none", "lid176", "cld3"] = "none"
    language_model: Path | None = option(default=None, metavar="FILE")

    @cached_property
    def identifier(self) -> Identifier | None:
        """What tells languages; None where that is not asked for.

        Raises:
            ConfigError: its library is not installed.
            DataError: its model cannot be read.
        """
        if self.language == "none":
            return None
        return identifier(self.language, self.language_model)

    def identity(self) -> dict[str, JsonValue]:
        """What the rows depend on, as it is stored with each part of the table."""
        return {
            "decode": self.decode,
            "phash": self.phash,
            "language": self.identifier.name if self.identifier else "none",
        }
