"""A folder of embeddings: what was made, from what, by which model, and what was left out.

Each part has a note in ``parts/``, written after its files; ``embeddings.json``, which names all
of them by their digests, is written last. See ``writing`` for how they come about.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from data_pipelines.bounded_json import read_json
from data_pipelines.embeddings.item import BOTH, IMAGES, TEXTS
from data_pipelines.embeddings.layouts import LAYOUTS, Layout
from data_pipelines.errors import DataError
from data_pipelines.shards.manifest import sha256_of

ABOUT, NOTES, SKIPPED = "embeddings.json", "parts", "skipped"
FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """A finished folder; see ``open_embeddings``.

    Attributes:
        about: what ``embeddings.json`` says.
    """

    folder: Path
    about: Mapping[str, Any]

    def __len__(self) -> int:
        return int(self.about["stored"])

    def __repr__(self) -> str:
        return f"Embeddings({len(self):,} of {', '.join(self.kinds)} in {self.folder})"

    @property
    def kinds(self) -> tuple[str, ...]:
        """``images``, ``texts`` or both."""
        kind = self.settings["kind"]
        return (IMAGES, TEXTS) if kind == BOTH else (kind,)

    @property
    def settings(self) -> dict[str, Any]:
        """All that the vectors depend on besides the data."""
        return self.about["settings"]

    @property
    def embed_dim(self) -> int:
        """Numbers of a vector."""
        return int(self.settings["embed_dim"])

    @property
    def model(self) -> str:
        """Name of the model, as it was given."""
        return self.about["model"]

    @cached_property
    def digest(self) -> str:
        """Of the file that names all parts by their digests."""
        return sha256_of(self.folder / ABOUT)

    @cached_property
    def starts(self) -> np.ndarray:
        """Row that each part begins with, and the end of the last."""
        return np.cumsum([0, *(part["stored"] for part in self.about["parts"])])

    @property
    def num_parts(self) -> int:
        """Of the files that hold them."""
        return len(self.about["parts"])

    def vectors(self, kind: str) -> Iterator[np.ndarray]:
        """The vectors of each part in turn, mapped where the layout allows it.

        Raises:
            DataError: there are none of this kind, or files are missing or damaged.
        """
        if kind not in self.kinds:
            raise DataError(f"{self.folder} holds no embeddings of {kind}; it has {self.kinds[0]}")
        for number, part in enumerate(self.about["parts"]):
            found = self._layout.vectors(self.folder, number, self.num_parts, kind)
            if found.shape != (part["stored"], self.embed_dim):
                raise DataError(
                    f"part {number} of {self.folder} has {found.shape} numbers, its note says "
                    f"{(part['stored'], self.embed_dim)}; embed that data again"
                )
            yield found

    def array(self, kind: str) -> np.ndarray:
        """All vectors as one array in memory.

        Raises:
            DataError: see ``vectors``.
        """
        parts = list(self.vectors(kind))
        return np.concatenate(parts) if parts else np.zeros((0, self.embed_dim), np.float32)

    def rows(self) -> pa.Table:
        """Columns uid, path, caption and row (in its source) of all vectors, in their order.

        Raises:
            DataError: files are missing or damaged.
        """
        return pa.concat_tables([self.rows_of_part(number) for number in range(self.num_parts)])

    def rows_of_part(self, number: int) -> pa.Table:
        """As ``rows``, of one part."""
        return self._layout.rows(self.folder, number, self.num_parts)

    def source(self, number: int) -> dict[str, Any]:
        """Where the samples of a part are from."""
        return self.about["parts"][number]["source"]

    @property
    def _layout(self) -> Layout:
        return LAYOUTS[self.settings["layout"]]


def open_embeddings(folder: Path) -> Embeddings:
    """Open a folder that ``vlsuite embed`` wrote.

    Raises:
        DataError: there is none, it is not finished, or of another version.
    """
    if not (folder / ABOUT).is_file():
        is_unfinished = (folder / NOTES).is_dir()
        advice = "run that command again, it goes on" if is_unfinished else "run 'vlsuite embed'"
        what = "is not finished" if is_unfinished else f"has no {ABOUT}"
        raise DataError(f"{folder} {what}; {advice}")
    about = read_note(folder / ABOUT)
    try:
        assert about is not None
        is_ours = about["tool"] == "vlsuite" and about["format_version"] == FORMAT_VERSION
        is_ours = is_ours and about["settings"]["layout"] in LAYOUTS and "parts" in about
    except (AssertionError, KeyError, TypeError):
        is_ours = False
    if not is_ours or about is None:
        raise DataError(f"{folder / ABOUT} is damaged or of another version; embed again")
    return Embeddings(folder=folder, about=about)


def read_note(path: Path) -> dict[str, Any] | None:
    """What a JSON file of the folder says; None where it says nothing."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
