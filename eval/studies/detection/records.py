"""Finished heads of a study, read back from their folders."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from eval.errors import EvaluationError
from eval.studies.detection.detecting import MEASURES, RESULT
from eval.studies.detection.folders import StudyFolders
from eval.studies.detection.measures import Measures, read_measures
from eval.studies.detection.settings import MODES, Cell
from eval.studies.stored_runs import read_result, refusing_damage


class HeadRecord(NamedTuple):
    """One finished head.

    Attributes:
        cell: mode and seed.
        measures: its figures.
        result: the whole result file.
    """

    cell: Cell
    measures: Measures
    result: dict[str, Any]


def load_heads(
    folders: StudyFolders, *, judged: str = "test", digest: str | None = None
) -> list[HeadRecord]:
    """All finished heads, by mode and seed; unfinished ones are left out.

    Args:
        folders: of the study.
        judged: the split that they were judged on.
        digest: only heads of these settings; None wants all to have the same.
    Raises:
        EvaluationError: nothing is finished, a file is damaged, or heads are of several studies.
    """
    name = RESULT.format(judged)
    found = [_load(folders, path.parent.name, judged) for path in folders.heads(name)]
    if digest is not None:
        found = [one for one in found if one.result["digest"] == digest]
    if not found:
        raise EvaluationError(
            f"{folders.out} has no finished head of a detection study; start one there first"
        )
    if len({one.result["digest"] for one in found}) > 1:
        raise EvaluationError(
            f"{folders.out} holds heads of different settings; name the settings with --set, or "
            "remove the others"
        )
    return sorted(found, key=lambda one: _place(one.cell))


def _place(cell: Cell) -> tuple[int, str, int]:
    return MODES.index(cell.mode), cell.vectors, cell.seed


def _load(folders: StudyFolders, name: str, judged: str) -> HeadRecord:
    folder = folders.out / "cells" / name
    result = read_result(folder / RESULT.format(judged), study="detection")
    with refusing_damage(folder, run="head"):
        cell = Cell(result["mode"], int(result["seed"]), result["vectors"])
        _place(cell)
        return HeadRecord(cell, read_measures(folder / MEASURES.format(judged)), result)


def measures_by_cell(records: Sequence[HeadRecord]) -> dict[Cell, Measures]:
    """For ``Statistics``."""
    return {one.cell: one.measures for one in records}
