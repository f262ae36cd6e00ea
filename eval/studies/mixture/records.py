"""Finished runs of a study, read back from their folders."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from eval.errors import EvaluationError
from eval.studies.mixture.cell import ARRAYS, RESULT
from eval.studies.mixture.settings import Cell, Mixture
from eval.studies.stored_runs import read_result, refusing_damage


@dataclass(frozen=True, kw_only=True, slots=True)
class CellRecord:
    """One finished run.

    Attributes:
        cell: mixture and seed.
        digest: of the study's settings.
        hits: whether each picture of a test was right, at each evaluation, by test.
        result: the whole result file.
    """

    cell: Cell
    digest: str
    hits: dict[str, Bool[np.ndarray, "evaluations pictures"]]
    result: dict[str, Any]


def load_cells(out: Path, *, digest: str | None = None) -> list[CellRecord]:
    """All finished runs of a study; unfinished ones are left out.

    Args:
        out: folder of the study.
        digest: only runs of these settings; None wants all runs to have the same.
    Raises:
        EvaluationError: nothing is finished, a file is damaged, or runs are not of one study.
    """
    records = [_load(path) for path in sorted((out / "cells").glob(f"*/{RESULT}"))]
    if digest is not None:
        records = [record for record in records if record.digest == digest]
    if not records:
        raise EvaluationError(f"{out} has no finished run of a mixture study; start one there")
    shapes = [{name: hits.shape for name, hits in record.hits.items()} for record in records]
    if len({record.digest for record in records}) > 1 or any(one != shapes[0] for one in shapes):
        raise EvaluationError(
            f"{out} holds runs of different settings or tests; keep each study in its own folder"
        )
    return sorted(records, key=lambda one: (len(one.cell.mixture.shares), one.cell))


def refuse_other_study(out: Path, digest: str) -> None:
    """A study of other settings would otherwise be replaced run by run.

    Raises:
        EvaluationError: the folder holds finished runs of one.
    """
    for path in (out / "cells").glob(f"*/{RESULT}"):
        if read_result(path, study="mixture")["digest"] != digest:
            raise EvaluationError(
                f"{out} holds runs of other sources or settings; give it those again, or choose "
                "another --out"
            )


def _load(path: Path) -> CellRecord:
    data = read_result(path, study="mixture")
    with refusing_damage(path.parent):
        with np.load(path.with_name(ARRAYS), allow_pickle=False) as file:
            hits = {
                name.removeprefix("hits_"): file[name].astype(bool)
                for name in file.files
                if name.startswith("hits_")
            }
        shares = tuple((str(name), float(share)) for name, share in data["shares"])
        cell = Cell(Mixture(shares), int(data["seed"]))
        return CellRecord(cell=cell, digest=data["digest"], hits=hits, result=data)


def tests_of(records: Sequence[CellRecord]) -> list[str]:
    """Names of the tests, in their order."""
    return list(records[0].hits)
