"""Tables of a study as rows of text, for terminals, Markdown and HTML alike."""

from collections.abc import Mapping
from typing import Any

from eval.studies.tables import Table, number, percent

Summary = Mapping[str, Any]

_NONE = "-"


def tables(summary: Summary) -> list[Table]:
    """Accuracies, lines, what the sources let expect of mixtures, and what was seen."""
    found = [_accuracy(summary), _lines(summary), _expected(summary), _seen(summary)]
    return [table for table in found if table.rows]


def _accuracy(summary: Summary) -> Table:
    names = list(summary["tests"])
    rows = [
        (mixture, str(len(found["seeds"])), *(percent(found["accuracy"][name]) for name in names))
        for mixture, found in summary["results"].items()
    ]
    sizes = ", ".join(
        f"{name} {told['pictures']:,} pictures, "
        + ("class names" if told["has_classes"] else "captions of the set")
        for name, told in summary["tests"].items()
    )
    note = f"Percent right of the last models ({sizes}). {summary['intervals']}"
    return Table("Accuracy", note, ("trained on", "seeds", *names), rows)


def _lines(summary: Summary) -> Table:
    rows = []
    for test in summary["shifts"]:
        for mixture, found in summary["results"].items():
            line = found["lines"][test]
            if line is None:
                rows.append((test, mixture, *[_NONE] * 4))
                continue
            r2 = _NONE if line["r2"] is None else f"{line['r2']:.2f}"
            rows.append(
                (
                    test,
                    mixture,
                    number(line["slope"], digits=2),
                    percent(line["accuracy_at_level"]),
                    r2,
                    str(len(line["points"])),
                )
            )
    note = (
        f"Accuracy on each test against that on {summary['reference']}, on {summary['scale']} "
        "axes, fitted over the evaluations of all seeds that stand out from guessing. A higher "
        "line is a more robust source: its height is told where the reference is at "
        f"{100 * summary['level']:.1f}%, which all reach. No line: fewer than 3 such evaluations."
    )
    header = ("test", "trained on", "slope", "height, %", "R2", "points")
    return Table("Lines", note, header, rows)


def _expected(summary: Summary) -> Table:
    rows = [
        (
            test,
            mixture,
            number(own["slope"], digits=2),
            number(own["slope_residual"], digits=2, sign=True),
            number(own["height_residual"], digits=2, sign=True),
        )
        for test in summary["shifts"]
        for mixture, found in summary["results"].items()
        if (own := found["predictions"][test]) is not None
    ]
    note = (
        f"Expected: slopes and heights ({summary['scale']} units) of the sources alone, weighted "
        "by their shares. That is our reading of the linear model of Nguyen et al. 2022, not a "
        "formula of theirs; residuals say how far it holds. Below 0 in height: mixing dilutes."
    )
    header = ("test", "trained on", "slope expected", "slope, off by", "height, off by")
    return Table("Mixtures against their sources", note, header, rows)


def _seen(summary: Summary) -> Table:
    rows = [
        (
            mixture,
            f"{found['samples_seen']:,}",
            ", ".join(f"{name} {passes:.1f}" for name, passes in found["passes"].items()),
            f"{found['mean_seconds']:,.0f}",
        )
        for mixture, found in summary["results"].items()
    ]
    sizes = ", ".join(f"{name} {count:,}" for name, count in summary["pairs"].items())
    note = (
        f"Every run sees as many samples. Training pairs: {sizes}. Where passes differ much, "
        "repetition and not the source may make the difference."
    )
    return Table("What was seen", note, ("trained on", "samples", "passes", "seconds"), rows)
