"""Samples that a list names: by uid, by the SHA-256 of the picture, by words of the caption, by the
host of the picture's address."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa

from data_pipelines.curation.filter import Rule, SampleFilter, StageInput, filters
from data_pipelines.errors import ConfigError, DataError
from data_pipelines.text_lines import lines_of

_COLUMN = {"uid": "uid", "sha256": "sha256", "word": "caption", "host": "url"}

# What of a sample may be listed: a word ends where a letter or a digit does, and a host belongs to
# all that its name ends in.
_KEYS = {
    "uid": "SELECT id, uid AS entry FROM {0}",
    "sha256": "SELECT id, lower(hex(sha256)) AS entry FROM {0}",
    "word": r"""SELECT id, unnest(regexp_extract_all(lower(caption), '[\p{{L}}\p{{N}}]+')) AS entry
        FROM {0}""",
    "host": r"""WITH named AS (SELECT id, string_split(regexp_extract(lower(url),
            '^[a-z][a-z0-9+.-]*://(?:[^/@]*@)?([^/:?#]+)', 1), '.') AS parts FROM {0}),
        placed AS (SELECT id, parts, unnest(range(1, len(parts) + 1)) AS first FROM named)
        SELECT id, array_to_string(parts[first:], '.') AS entry FROM placed""",
}


@filters.register("blocklist")
@dataclass(frozen=True, kw_only=True)
class Blocklist(SampleFilter):
    """Settings of a blocklist.

    Args:
        file: one entry a line; blank lines and lines that begin with # do not count.
        by: "uid"; "sha256" of the picture's bytes in hexadecimal; "word" of the first caption,
            whole and in any case; "host" of the address, those below it too (example.org also
            blocks www.example.org). A sample without an address passes.
    """

    file: Path
    by: Literal["uid", "sha256", "word", "host"]

    def needs(self) -> tuple[str, ...]:
        """The column that is compared."""
        return (_COLUMN[self.by],)

    def files(self) -> tuple[Path, ...]:
        """The list."""
        return (self.file,)

    def rules(self, samples: StageInput) -> Sequence[Rule]:
        """One rule: it is listed."""
        entries = pa.table({"entry": pa.array(self._entries(), pa.string())})
        samples.add_relation("entries", entries.to_reader())
        keys = _KEYS[self.by].format(samples.relation)
        samples.add_query(
            f"SELECT id, min(entry) AS listed FROM ({keys}) JOIN entries USING (entry) GROUP BY id"
        )
        return [Rule(f"listed {self.by}", "listed IS NOT NULL", detail="listed")]

    def _entries(self) -> list[str]:
        try:
            lines = lines_of(self.file.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"cannot read the blocklist {self.file}: {error}; give a text, one entry a line"
            ) from error
        found = {line.strip() for line in lines if line.strip() and not line.startswith("#")}
        if not found:
            raise ConfigError(f"the blocklist {self.file} has no entry; fill it or drop the stage")
        return sorted(found if self.by == "uid" else {entry.lower() for entry in found})
