"""A curation run as one HTML page that needs nothing else: no script, no network, no other file."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from data_pipelines.curation.database_errors import heeding_ctrl_c
from data_pipelines.schema import JsonValue
from data_pipelines.shards.atomic import make_folder, write_file
from eval.curation.examples import Pictures, clusters, galleries
from eval.curation.figures import histogram_figure
from eval.curation.finding import FoundRun, find_run
from eval.curation.histograms import Histogram, histograms
from eval.curation.parts_of_pool import pool_parts
from eval.curation.work import Work
from eval.errors import EvaluationError
from eval.report.figures import Picture
from eval.report.page import render_page


class StageShown(NamedTuple):
    """A row of the funnel; widths are shares of all samples, in percent."""

    name: str
    filter: str
    given: int
    kept: int
    dropped: int
    kept_width: float
    dropped_width: float
    reasons: tuple[tuple[str, int, float], ...]
    settings: str
    figures: tuple[str, ...]


class Plot(NamedTuple):
    """A histogram, drawn."""

    title: str
    caption: str
    picture: Picture


def build_curation_report(
    folder: Path,
    out: Path | None = None,
    *,
    table: Path | None = None,
    data: Sequence[str] = (),
    progress: Callable[[Sequence[Any]], Any] = iter,
) -> Path:
    """Write the page of a run of ``vlsuite curate run``.

    Args:
        folder: of the run.
        out: the page; None: ``report.html`` in the folder.
        table: folder of its table; None: where the run found it.
        data: paths of its shards; none: where the scan found them.
        progress: wraps the sections as they are made.
    Returns:
        Where the page is.
    Raises:
        DataError: no finished run, or what is named is not that of the run.
        EvaluationError: the page's name is that of a folder.
    """
    run = find_run(folder, table=table, data=data)
    target = out or folder / "report.html"
    if target.is_dir():
        raise EvaluationError(f"{target} is a folder; give the page a file name with --out")
    make_folder(target.parent)
    write_file(target, render(run, progress=progress).encode())
    return target


def render(run: FoundRun, *, progress: Callable[[Sequence[Any]], Any] = iter) -> str:
    """The page as text; equal runs, tables and shards give equal pages."""
    with heeding_ctrl_c(), TemporaryDirectory() as scratch, Work(run, Path(scratch)) as work:
        pictures = Pictures(run)
        sections: dict[str, Callable[[], list]] = {
            "plots": lambda: [_plot(one) for one in histograms(work)],
            "parts": lambda: list(pool_parts(work)),
            "clusters": lambda: list(clusters(work, pictures)),
            "galleries": lambda: list(galleries(work, pictures)),
        }
        made = {name: sections[name]() for name in progress(list(sections))}
        funnel = _funnel(run, work)
    stored = run.stored
    values = {
        **made,
        "name": run.folder.resolve().name,
        "about": stored["about"],
        "facts": _facts(stored),
        "funnel": funnel,
        "warnings": [f"{s.stage}: {text}" for s in work.stages for text in s.warnings],
        "remarks": run.remarks,
        "headline": _headline(stored, funnel),
        "made_from": _made_from(stored),
    }
    return render_page("eval.curation", "curation.html", values)


def _funnel(run: FoundRun, work: Work) -> list[StageShown]:
    total = max(1, run.stored["samples"])
    settings = {one["name"]: one for one in run.stored["made_from"]["stages"]}
    return [
        StageShown(
            name=stage.stage,
            filter=settings[stage.stage]["filter"],
            given=stage.given,
            kept=stage.kept,
            dropped=stage.dropped,
            kept_width=round(100 * stage.kept / total, 2),
            dropped_width=round(100 * stage.dropped / total, 2),
            reasons=tuple(
                (reason, number, number / max(1, stage.given))
                for reason, number in sorted(
                    stage.reasons.items(), key=lambda one: (-one[1], one[0])
                )
            ),
            settings=", ".join(
                f"{k} = {_told(v)}" for k, v in settings[stage.stage]["settings"].items()
            ),
            figures=tuple(f"{name}: {_told(value)}" for name, value in stage.figures.items()),
        )
        for stage in work.stages
    ]


def _plot(histogram: Histogram) -> Plot:
    judged = histogram.judged
    dropped = sum(histogram.dropped)
    caption = f"{dropped:,} dropped"
    if histogram.kept is not None:
        given = dropped + sum(histogram.kept) + sum(histogram.others)
        caption += f" of {given:,} with a number"
    caption += " by this rule. "
    if histogram.kept is None:
        caption += "Numbers of samples that passed are not stored. "
    if judged.threshold is None and judged.has_threshold:
        caption += "The threshold differs between samples. "
    caption += "What lies outside counts in the last bars."
    return Plot(f"{judged.name}: {judged.reason}", caption, histogram_figure(histogram))


def _headline(stored: Mapping[str, Any], funnel: Sequence[StageShown]) -> str:
    share = stored["kept"] / max(1, stored["samples"])
    told = f"{stored['kept']:,} of {stored['samples']:,} samples were kept ({share:.1%})."
    most = max(funnel, key=lambda stage: stage.dropped)
    if most.dropped:
        reason, number, _ = most.reasons[0]
        told += (
            f" Most went at {most.name} ({most.dropped:,}), for the most part as '{reason}' "
            f"({number:,})."
        )
    return told


def _facts(stored: Mapping[str, Any]) -> dict[str, str]:
    made = stored["made_from"]
    return {
        "Recipe": stored["recipe"],
        "Samples": f"{stored['samples']:,}",
        "Kept": f"{stored['kept']:,}",
        "Shards": f"{len(made['shards']):,}",
        "Stages": f"{len(made['stages']):,}",
        "vlsuite": stored["tool_version"],
    }


def _made_from(stored: Mapping[str, Any]) -> dict[str, str]:
    made = stored["made_from"]
    return {
        "recipe": stored["recipe_sha256"],
        "table": made["table"],
        **{f"score {name}": digest for name, digest in made["scores"].items()},
        **{f"scan: {name}": _told(value) for name, value in stored["scan_settings"].items()},
    }


def _told(value: JsonValue) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return "; ".join(map(_told, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_told(own)}" for name, own in value.items())
    return "none" if value is None else str(value)
