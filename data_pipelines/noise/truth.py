"""Which captions of a noisy set are noisy: a file beside the shards, for evaluators only.

Training reads tars, and nothing in them tells a noisy caption from a clean one. The manifest
lists the file with its SHA-256.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import SupportsInt

import numpy as np
from jaxtyping import Bool, Int

from data_pipelines.errors import ShardError
from data_pipelines.shards.manifest import Manifest
from data_pipelines.text_lines import lines_of

TRUTH_NAME = "noise_truth.tsv"

_KINDS = ("clean", "mismatched", "partial")
_HEADER = "uid\tcaption\tkind\tsource_uid\tsource_caption"


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseTruth:
    """The truth about every caption of a set, in the order of the shards.

    Args:
        uids: of the image.
        caption_numbers: position in the image's list of captions.
        is_mismatched: the caption is not true of the image.
        is_partial: a part of the caption is missing or was exchanged.
        source_uids: of the image that the caption came from.
        source_caption_numbers: its position there, before noise.
    """

    uids: tuple[str, ...]
    caption_numbers: Int[np.ndarray, " pairs"]
    is_mismatched: Bool[np.ndarray, " pairs"]
    is_partial: Bool[np.ndarray, " pairs"]
    source_uids: tuple[str, ...]
    source_caption_numbers: Int[np.ndarray, " pairs"]
    _rows: dict[tuple[str, int], int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        keys = zip(self.uids, self.caption_numbers.tolist(), strict=True)
        object.__setattr__(self, "_rows", {key: row for row, key in enumerate(keys)})

    def __len__(self) -> int:
        return len(self.uids)

    def rows_of(self, uids: Sequence[str], caption_numbers: Iterable[SupportsInt]) -> list[int]:
        """Where the truth about the given pairs stands, to index the arrays with.

        Raises:
            ShardError: the set has no such pair.
        """
        try:
            return [
                self._rows[uid, int(number)]
                for uid, number in zip(uids, caption_numbers, strict=True)
            ]
        except KeyError as error:
            uid, number = error.args[0]
            raise ShardError(
                f"the noisy set has no caption {number} of sample {uid}; "
                "evaluate on the shards that were trained on"
            ) from None


def truth_row(uid: str, number: int, *, kind: str, source_uid: str, source_number: int) -> str:
    """One line of the file."""
    return f"{uid}\t{number}\t{kind}\t{source_uid}\t{source_number}\n"


def truth_bytes(rows: Iterable[str]) -> bytes:
    """The file: a header and a line for each pair, in the order of the shards."""
    return "".join([_HEADER + "\n", *rows]).encode()


def read_truth(folder: str | Path) -> NoiseTruth:
    """The truth of the noisy set in ``folder``.

    Raises:
        ShardError: the set is unfinished, has no truth, or its files are not those that were
            written with it.
    """
    folder = Path(folder)
    manifest = Manifest.load(folder)
    if TRUTH_NAME not in {entry.name for entry in manifest.files}:
        raise ShardError(
            f"{folder} has no noise of known truth; write such a set by 'vlsuite data noise'"
        )
    differences = manifest.verify(folder)
    if differences:
        raise ShardError(
            f"{folder} is not as it was written, so its truth does not hold: {differences[0]}; "
            "write it again by 'vlsuite data noise'"
        )
    lines = lines_of((folder / TRUTH_NAME).read_text(encoding="utf-8"))
    return _parsed(folder / TRUTH_NAME, lines)


def _parsed(path: Path, lines: Sequence[str]) -> NoiseTruth:
    rows = [line.split("\t") for line in lines[1:]]
    is_sound = all(len(row) == 5 and row[2] in _KINDS for row in rows)
    if not is_sound or lines[:1] != [_HEADER]:
        raise ShardError(f"{path} is no list of noise that this version reads; write the set again")
    try:
        numbers = [np.array([int(row[i]) for row in rows], dtype=np.int64) for i in (1, 4)]
    except ValueError as error:
        raise ShardError(f"{path} holds a caption number that is none: {error}") from error
    return NoiseTruth(
        uids=tuple(row[0] for row in rows),
        caption_numbers=numbers[0],
        is_mismatched=np.array([row[2] == "mismatched" for row in rows], dtype=bool),
        is_partial=np.array([row[2] == "partial" for row in rows], dtype=bool),
        source_uids=tuple(row[3] for row in rows),
        source_caption_numbers=numbers[1],
    )
