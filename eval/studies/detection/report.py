"""The report of a detection study; see ``eval.studies.report`` for its files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from eval.report.figures import COLOURS, INK, STYLE
from eval.studies.detection.folders import StudyFolders
from eval.studies.detection.records import load_heads
from eval.studies.detection.summary import summarise
from eval.studies.detection.tables import tables
from eval.studies.report import Plate, StudyPage, StudyReport, write_study

_TITLE = "Finding what nobody marked"
_LEAD = (
    "heads on one frozen trunk: labels of base names, names as texts, a teacher's embeddings of "
    "regions"
)
_PLOT_TITLE = "AP50 of novel and base names by what the head learned from"
_PLOT_CAPTION = (
    "Bars are 95% intervals over pictures and seeds of the heads; dots are single seeds. All heads "
    "stand on one frozen trunk."
)


def write_report(
    out: Path, *, judged: str = "test", digest: str | None = None, seed: int = 0
) -> StudyReport:
    """Summarise the finished heads of a study, whether or not others are missing.

    Args:
        out: folder of the study.
        judged, digest: as in ``load_heads``.
        seed: of the draws.
    Raises:
        EvaluationError: see ``load_heads``.
        DataError: the folder cannot be written.
    """
    folders = StudyFolders(out)
    records = load_heads(folders, judged=judged, digest=digest)
    summary = summarise(folders, records, judged=judged, seed=seed)
    with matplotlib.rc_context(STYLE):
        plate = Plate("ap50", _PLOT_TITLE, _PLOT_CAPTION, _figure(summary))
    facts, settings = _facts(summary), summary["settings"]
    page = StudyPage(_TITLE, _LEAD, facts, settings, tables(summary), [plate])
    return write_study(out, summary, page, plates_first=True)


def _facts(summary: Mapping[str, Any]) -> dict[str, str]:
    environment, settings = summary["environment"], summary["settings"]
    num_novel = round(settings["categories"] * settings["novel_share"])
    return {
        "heads": f"{summary['num_heads']:,}",
        "pictures": f"{summary['num_pictures']:,} of {summary['judged']}",
        "names": f"{settings['categories'] - num_novel} base, {num_novel} novel",
        "backgrounds": str((summary["scenes"]["backgrounds"] or {}).get("kind", "unknown")),
        "wall clock": f"{summary['wall_clock_seconds'] / 60:.1f} min",
        "commit": ", ".join(summary["commits"]),
        "hardware": str(environment.get("hardware", "unknown")),
        "command": str(environment.get("command", "unknown")),
    }


def _figure(summary: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(7.6, 3.8))
    axes = figure.subplots()
    modes = summary["modes"]
    places = np.arange(len(modes))
    for shift, group, colour in ((-0.19, "novel", COLOURS[0]), (0.19, "base", COLOURS[1])):
        own = [summary["results"][mode]["ap50"][group] for mode in modes]
        heights = np.array([100 * one["value"] for one in own])
        lows, highs = (
            np.array([100 * (one[end] if one[end] is not None else one["value"]) for one in own])
            for end in ("low", "high")
        )
        axes.bar(places + shift, heights, 0.36, color=colour, label=f"{group} names")
        axes.errorbar(
            places + shift, heights, yerr=np.abs([heights - lows, highs - heights]), fmt="none",
            ecolor=INK, elinewidth=1.0, capsize=2.5,
        )  # fmt: skip
        for place, mode in zip(places, modes, strict=True):
            seeds = 100 * np.array(summary["results"][mode]["ap50_by_seed"][group])
            axes.plot(np.full(len(seeds), place + shift), seeds, ".", color=INK, markersize=3)
    axes.set_xticks(places, modes)
    axes.set_ylabel("AP50")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure
