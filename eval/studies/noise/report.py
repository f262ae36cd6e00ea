"""The report of a noise study; see ``eval.studies.report`` for its files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.studies.noise.figures import plates
from eval.studies.noise.records import load_cells
from eval.studies.noise.summary import summarise
from eval.studies.noise.tables import tables
from eval.studies.noise.tuning import read_tuning
from eval.studies.report import StudyPage, StudyReport, write_study

_TITLE = "Training on wrong captions"
_LEAD = (
    "methods, noise rates and seeds on the same pairs, from the same start, with the same number "
    "of samples seen"
)


def write_report(out: Path, *, digest: str | None = None, seed: int = 0) -> StudyReport:
    """Summarise the finished runs of a study, whether or not others are missing.

    Args:
        out: folder of the study.
        digest: as in ``load_cells``.
        seed: of the draws.
    Raises:
        EvaluationError: see ``load_cells``.
        DataError: the folder cannot be written.
    """
    summary: dict[str, Any] = summarise(load_cells(out, digest=digest), seed=seed)
    summary["tuning"] = read_tuning(out)
    facts, settings = _facts(summary), summary["settings"]
    page = StudyPage(_TITLE, _LEAD, facts, settings, tables(summary), plates(summary))
    return write_study(out, summary, page, plates_first=False)


def _facts(summary: Mapping[str, Any]) -> dict[str, str]:
    environment = summary["environment"]
    return {
        "runs": f"{summary['num_runs']:,}",
        "test pairs": f"{summary['num_test']:,}",
        "towers": str(summary["settings"]["architecture"]),
        "commit": ", ".join(summary["commits"]),
        "hardware": str(environment.get("hardware", "unknown")),
        "command": str(environment.get("command", "unknown")),
    }
