"""Finished runs of a study, read back from their folders."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from eval.errors import EvaluationError
from eval.studies.noise.cell import ARRAYS, RESULT
from eval.studies.noise.grid import Cell
from eval.studies.stored_runs import read_result, refusing_damage

#: Short name of each score: direction and the rank that still counts.
SCORES: Mapping[str, tuple[str, int]] = {
    "r1_i2t": ("image_to_text", 1),
    "r5_i2t": ("image_to_text", 5),
    "r1_t2i": ("text_to_image", 1),
    "r5_t2i": ("text_to_image", 5),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class CellRecord:
    """One finished run.

    Attributes:
        cell: method, noise rate and seed.
        digest: of the study's settings.
        curve: each score at each evaluation, as shares.
        has_start: whether the first evaluation is that of the common start, before training.
        places: of each test query's partner by the last model, by direction; 0 is the top.
        is_mismatched: of each training pair; empty for an oracle, as are the next three.
        pair_cosines, start_cosines: by the last model, and by the common start (NaN: none).
        noise_probability: of each pair; NaN where the method estimates none.
        noise_share: the method's own estimate of the noise rate, if it has one.
        result: the whole result file.
    """

    cell: Cell
    digest: str
    curve: dict[str, list[float]]
    has_start: bool
    places: dict[str, Int[np.ndarray, " test"]]
    is_mismatched: Bool[np.ndarray, " pairs"]
    pair_cosines: Float[np.ndarray, " pairs"]
    start_cosines: Float[np.ndarray, " pairs"]
    noise_probability: Float[np.ndarray, " pairs"]
    noise_share: float | None
    result: dict[str, Any]

    def hits(self, score: str) -> Bool[np.ndarray, " test"]:
        """Whether each test query finds its partner, by the last model."""
        direction, k = SCORES[score]
        return self.places[direction] < k

    def start(self, score: str) -> float:
        """Share before training; NaN where all towers were random."""
        return self.curve[score][0] if self.has_start else math.nan

    def best(self, score: str) -> float:
        """Share by the best evaluation of the run, the one of the highest text-to-image R@1.

        It is chosen on the test set, as the published "Best" figures of RDE are. The start, the
        same for all methods, is no candidate; the last model is.
        """
        first = int(self.has_start)
        candidates = {name: [*self.curve[name][first:], self.last(name)] for name in SCORES}
        return candidates[score][int(np.argmax(candidates["r1_t2i"]))]

    def last(self, score: str) -> float:
        """Share by the last model."""
        return float(self.hits(score).mean())


def load_cells(out: Path, *, digest: str | None = None) -> list[CellRecord]:
    """All finished runs of a study, by method, rate and seed; unfinished ones are left out.

    Args:
        out: folder of the study.
        digest: only runs of these settings; None wants all runs to have the same.
    Raises:
        EvaluationError: nothing is finished, a file is damaged, or runs are not of one study.
    """
    paths = sorted((out / "cells").glob(f"*/{RESULT}"))
    records = sorted((_load(path) for path in paths), key=lambda record: record.cell)
    if digest is not None:
        records = [record for record in records if record.digest == digest]
    if not records:
        raise EvaluationError(f"{out} has no finished run of a noise study; start one there first")
    _refuse_mixture(out, records)
    return records


def refuse_other_study(out: Path, digest: str) -> None:
    """A study of other settings would otherwise be replaced run by run.

    Raises:
        EvaluationError: the folder holds finished runs of one.
    """
    paths = (out / "cells").glob(f"*/{RESULT}")
    if {read_result(path, study="noise")["digest"] for path in paths} - {digest}:
        raise EvaluationError(
            f"{out} holds runs of other shards or settings; give it those again, or choose "
            "another --out"
        )


def _load(path: Path) -> CellRecord:
    data = read_result(path, study="noise")
    arrays = path.with_name(ARRAYS)
    with refusing_damage(path.parent):
        with np.load(arrays, allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
        curve = {
            name: [float(v) for v in data["curve"][f"{direction}_recall_at_{k}"]]
            for name, (direction, k) in SCORES.items()
        }
        return CellRecord(
            cell=Cell(data["method"], float(data["rate"]), int(data["seed"])),
            digest=data["digest"],
            curve=curve,
            has_start=bool(data["settings"]["pretrain_share"]),
            places={d: held[f"{d}_places"] for d in ("image_to_text", "text_to_image")},
            is_mismatched=held["is_mismatched"].astype(bool),
            pair_cosines=held["pair_cosines"],
            start_cosines=held["start_cosines"],
            noise_probability=held["noise_probability"],
            noise_share=data["noise_share"],
            result=data,
        )


def _refuse_mixture(out: Path, records: Sequence[CellRecord]) -> None:
    if len({record.digest for record in records}) > 1:
        raise EvaluationError(
            f"{out} holds runs of different settings; keep each study in a folder of its own"
        )
    if len({len(p) for record in records for p in record.places.values()}) > 1:
        raise EvaluationError(f"runs in {out} were tested on different sets; start a new folder")
