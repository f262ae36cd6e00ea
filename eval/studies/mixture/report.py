"""The report of a mixture study; see ``eval.studies.report`` for its files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.studies.mixture.figures import plates
from eval.studies.mixture.lines import Scale
from eval.studies.mixture.records import load_cells
from eval.studies.mixture.summary import summarise
from eval.studies.mixture.tables import tables
from eval.studies.report import StudyPage, StudyReport, write_study

_TITLE = "What sources and their mixtures teach"
_LEAD = (
    "small CLIPs on each source and on mixtures, at the same number of samples seen; accuracy "
    "against shifted tests"
)


def write_report(
    out: Path,
    *,
    reference: str | None = None,
    scale: Scale = "logit",
    digest: str | None = None,
    seed: int = 0,
) -> StudyReport:
    """Summarise the finished runs of a study, whether or not others are missing.

    Args:
        out: folder of the study.
        reference, scale, seed: see ``summarise``.
        digest: as in ``load_cells``.
    Raises:
        EvaluationError: see ``load_cells`` and ``summarise``.
        DataError: the folder cannot be written.
    """
    records = load_cells(out, digest=digest)
    summary = summarise(records, reference=reference, scale=scale, seed=seed)
    facts, settings = _facts(summary), summary["settings"]
    page = StudyPage(_TITLE, _LEAD, facts, settings, tables(summary), plates(summary))
    return write_study(out, summary, page, plates_first=True)


def _facts(summary: Mapping[str, Any]) -> dict[str, str]:
    environment = summary["environment"]
    return {
        "runs": f"{summary['num_runs']:,}",
        "reference": str(summary["reference"]),
        "towers": str(summary["settings"]["architecture"]),
        "commit": ", ".join(summary["commits"]),
        "hardware": str(environment.get("hardware", "unknown")),
        "command": str(environment.get("command", "unknown")),
    }
