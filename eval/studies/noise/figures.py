"""Plots of a study, drawn from its summary."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.report.figures import COLOURS, INK, MARKERS, STYLE
from eval.studies.noise.summary import rate_key
from eval.studies.report import Plate

Summary = Mapping[str, Any]

_TITLES: Mapping[str, str] = {
    "infonce": "InfoNCE",
    "siglip": "SigLIP",
    "triplet": "hardest-negative triplet",
    "label_smoothing": "label smoothing",
    "kl_robust": "KL-robust weights",
    "elr": "early-learning reg.",
    "nitc": "NITC, soft targets",
    "nitc_weights": "NEVLP contrastive (NITC)",
    "tal": "triplet alignment only",
    "rde": "RDE",
    "rde_global": "RDE, global embedding",
    "oracle": "oracle, clean pairs",
    "oracle_rde": "oracle, RDE's towers",
}

_CURVES_AT = (0.8, 0.5)
_GRAYS = {"oracle": "#000000", "oracle_rde": "#7b8794"}
_LINES = ("-", "--", ":")


def title_of(method: str) -> str:
    """What tables and legends call a method."""
    return _TITLES.get(method, method.replace("_", " "))


def plates(summary: Summary) -> list[Plate]:
    """All plots that the finished runs allow."""
    found = [
        Plate(
            "rates",
            "Text-to-image R@1 of the last model against the share of wrong captions",
            "Bars are 95% intervals; points are moved sideways a little to keep them apart.",
            _rates_figure(summary),
        )
    ]
    rates = [rate for rate in _CURVES_AT if rate in summary["rates"]]
    if rates:
        found.append(
            Plate(
                "curves",
                "What training to the end costs: text-to-image R@1 by epoch, mean over seeds",
                "A ring marks the best evaluation, which is chosen on the test set. Epoch 0 is the "
                "common start. A method that memorises falls after its ring.",
                _curves_figure(summary, rates),
            )
        )
    if any(_has_auroc(summary, rate) for rate in summary["rates"]):
        found.append(
            Plate(
                "detection",
                "Detection of the mismatched pairs: AUROC by noise rate",
                "Hatched: by the cosines of the last model, for methods that estimate no "
                "probability. The line is the cosine of the common start.",
                _detection_figure(summary),
            )
        )
    return found


class _Look(NamedTuple):
    colour: str
    marker: str
    line: str


def _look(summary: Summary, method: str) -> _Look:
    """Oracles black and gray; others by place, with another line once the colours are used up."""
    if method in _GRAYS:
        return _Look(_GRAYS[method], "*", "--")
    place = [m for m in summary["methods"] if m not in _GRAYS].index(method)
    colours = COLOURS[:-1]
    return _Look(
        colours[place % len(colours)],
        MARKERS[place % len(MARKERS)],
        _LINES[place // len(colours) % len(_LINES)],
    )


def _rates_figure(summary: Summary) -> Figure:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.4, 4.6))
        axes = figure.subplots()
        methods = summary["methods"]
        shifts = np.linspace(-0.012, 0.012, len(methods)) if len(methods) > 1 else [0.0]
        for method, shift in zip(methods, shifts, strict=True):
            rows = [
                (rate, cell["r1_t2i"]["last"]) for rate, cell in _cells(summary, method) if cell
            ]
            _with_bars(axes, rows, float(shift), _look(summary, method), title_of(method))
        axes.set_xlabel("share of training captions that are wrong")
        axes.set_ylabel("R@1 text to image, %")
        axes.set_xticks(summary["rates"])
        axes.set_ylim(bottom=0)
        _legend(figure, axes)
        return figure


def _with_bars(
    axes: Axes, rows: Sequence[tuple[float, Mapping]], shift: float, look: _Look, label: str
) -> None:
    places = [rate + shift for rate, _ in rows]
    values = [100 * found["value"] for _, found in rows]
    axes.errorbar(
        places, values, yerr=100 * _error([found for _, found in rows]), label=label,
        color=look.colour, marker=look.marker, linestyle=look.line,
        ms=5, capsize=2.5, linewidth=1.4,
    )  # fmt: skip


def _error(found: Sequence[Mapping]) -> np.ndarray:
    """Lengths below and above each value; 0 without an interval."""
    ends = [
        [one["value"] if one[end] is None else one[end] for one in found] for end in ("low", "high")
    ]
    values = np.array([one["value"] for one in found])
    return np.maximum(np.stack([values - ends[0], ends[1] - values]), 0)


def _curves_figure(summary: Summary, rates: Sequence[float]) -> Figure:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.4, 4.2))
        panels = np.atleast_1d(figure.subplots(1, len(rates), sharey=True))
        shown: dict[str, Any] = {}
        for axes, rate in zip(panels, rates, strict=True):
            for method in summary["methods"]:
                cell = summary["results"][method].get(rate_key(rate))
                if cell is None:
                    continue
                look = _look(summary, method)
                shown.setdefault(title_of(method), _curve(axes, cell, look, title_of(method)))
            axes.set_title(f"{100 * rate:.0f}% of the captions wrong")
            axes.set_xlabel("epoch")
        panels[0].set_ylabel("R@1 text to image, %")
        panels[0].set_ylim(bottom=0)
        figure.legend(list(shown.values()), list(shown), loc="outside lower center", ncols=4)
        return figure


def _curve(axes: Axes, cell: Mapping, look: _Look, label: str) -> Any:
    values = 100 * np.array(cell["curve"])
    epochs = np.array(cell["epochs"])[: len(values)]
    (line,) = axes.plot(
        epochs, values, color=look.colour, linestyle=look.line, linewidth=1.5, label=label
    )
    first = int(cell["has_start"])
    best = first + int(np.argmax(values[first:]))
    axes.plot(epochs[best], values[best], "o", ms=9, mfc="none", mec=look.colour, mew=1.6)
    return line


def _detection_figure(summary: Summary) -> Figure:
    rates = [rate for rate in summary["rates"] if _has_auroc(summary, rate)]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.4, 4.2))
        axes = figure.subplots()
        methods = [m for m in summary["methods"] if any(_auroc(c) for _, c in _cells(summary, m))]
        width = 0.82 / len(methods)
        for i, method in enumerate(methods):
            look, label = _look(summary, method), title_of(method)
            for place, rate in enumerate(rates):
                cell = summary["results"][method].get(rate_key(rate))
                found = _auroc(cell)
                if cell is None or found is None:
                    continue
                error = _error([found])
                axes.bar(
                    place + (i - (len(methods) - 1) / 2) * width, found["value"], width * 0.92,
                    color=look.colour, edgecolor="white", label=label, yerr=error,
                    hatch="" if "probability" in cell["detection"]["scored_by"] else "///",
                    error_kw={"ecolor": INK, "capsize": 2, "elinewidth": 1},
                )  # fmt: skip
                label = "_nolegend_"
        for place, rate in enumerate(rates):
            start = summary["zero_shot_detection"].get(rate_key(rate), {}).get("auroc")
            if start:
                axes.hlines(
                    start["value"], place - 0.45, place + 0.45, colors=INK, linestyles="--",
                    linewidth=1.3, label="_nolegend_" if place else "zero-shot cosine",
                )  # fmt: skip
        axes.set_xticks(range(len(rates)), [f"{100 * r:.0f}% wrong" for r in rates], color=INK)
        axes.set_xlabel("share of training captions that are wrong")
        axes.set_ylabel("AUROC, chance 0.5")
        axes.set_ylim(_lowest(summary, rates), 1.0)
        axes.grid(axis="x", visible=False)
        _legend(figure, axes)
        return figure


def _lowest(summary: Summary, rates: Sequence[float]) -> float:
    """Chance, unless a bar or the lower end of an interval is below it."""
    shown = [
        found
        for rate in rates
        for found in (
            *(_auroc(summary["results"][m].get(rate_key(rate))) for m in summary["methods"]),
            summary["zero_shot_detection"].get(rate_key(rate), {}).get("auroc"),
        )
        if found
    ]
    ends = [one[end] for one in shown for end in ("value", "low") if one[end] is not None]
    return 0.5 if min(ends) >= 0.5 else 0.0


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)


def _cells(summary: Summary, method: str) -> Iterator[tuple[float, Mapping | None]]:
    for rate in summary["rates"]:
        yield rate, summary["results"][method].get(rate_key(rate))


def _auroc(cell: Mapping | None) -> Mapping | None:
    detection = cell and cell["detection"]
    return detection.get("auroc") if detection else None


def _has_auroc(summary: Summary, rate: float) -> bool:
    found = (summary["results"][m].get(rate_key(rate)) for m in summary["methods"])
    return any(_auroc(cell) for cell in found)
