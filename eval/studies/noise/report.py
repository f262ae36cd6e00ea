"""The report of a study: ``study.json``, ``study.md``, ``study.html`` and its plots as PNG."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

from data_pipelines.shards.atomic import make_folder, write_file
from eval.report.figures import STYLE
from eval.report.page import render_page
from eval.studies.noise.figures import Plate, plates
from eval.studies.noise.records import load_cells
from eval.studies.noise.summary import summarise
from eval.studies.noise.tables import tables
from eval.studies.noise.tuning import read_tuning
from eval.studies.tables import Table, as_markdown, as_text

DATA, TEXT, PAGE = "study.json", "study.md", "study.html"

_PLOT_DPI = 150


class StudyReport(NamedTuple):
    """What was found and where it was written.

    Attributes:
        summary: all figures (``summary.summarise``).
        text: the tables, for a terminal.
        page: the HTML page.
    """

    summary: dict[str, Any]
    text: str
    page: Path


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
    summary = summarise(load_cells(out, digest=digest), seed=seed) | {"tuning": read_tuning(out)}
    shown, drawn = tables(summary), plates(summary)
    make_folder(out)
    write_file(out / DATA, (json.dumps(summary, indent=1, allow_nan=False) + "\n").encode())
    for plate in drawn:
        write_file(out / _plot_name(plate), _png(plate))
    write_file(out / TEXT, _markdown(summary, shown, drawn).encode())
    write_file(out / PAGE, _html(summary, shown, drawn).encode())
    return StudyReport(summary, "\n\n".join(map(as_text, shown)), out / PAGE)


def _plot_name(plate: Plate) -> str:
    return f"study-{plate.name}.png"


def _png(plate: Plate) -> bytes:
    stream = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        plate.figure.savefig(stream, format="png", dpi=_PLOT_DPI, metadata={"Software": None})
    return stream.getvalue()


def _markdown(summary: Mapping[str, Any], shown: Sequence[Table], drawn: Sequence[Plate]) -> str:
    plots = [f"![{p.title}]({_plot_name(p)})\n\n{p.title}. {p.caption}\n" for p in drawn]
    made = "\n".join(f"- {name}: {value}" for name, value in _facts(summary).items())
    return "\n".join(
        ["# Training on wrong captions", "", made, "", *map(as_markdown, shown), *plots]
    )


def _html(summary: Mapping[str, Any], shown: Sequence[Table], drawn: Sequence[Plate]) -> str:
    values = dict(
        facts=_facts(summary),
        settings=summary["settings"],
        tables=shown,
        plates=[(plate, plate.picture) for plate in drawn],
    )
    return render_page("eval.studies.noise", "study.html", values)


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
