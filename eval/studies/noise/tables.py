"""Tables of a study as rows of text, for terminals, Markdown and HTML alike."""

from collections.abc import Mapping
from typing import Any

from eval.studies.noise.figures import title_of
from eval.studies.noise.statistics import LEAST_HITS
from eval.studies.tables import Table, number, percent

Summary = Mapping[str, Any]

_NONE = "-"


def tables(summary: Summary) -> list[Table]:
    """Recall, what noise costs, detection, and the learning rates where they were chosen."""
    found = [_recall(summary), _costs(summary), _detection(summary)]
    return [*found, _rates(summary["tuning"])] if summary.get("tuning") else found


def _value(found: Mapping[str, Any] | None) -> str:
    return _NONE if found is None or found["value"] is None else f"{100 * found['value']:.1f}"


def _cells(summary: Summary) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Title, rate and results, rates outermost: methods are compared at equal noise."""
    return [
        (title_of(method), f"{100 * rate:.0f}%", found)
        for rate in summary["rates"]
        for method in summary["methods"]
        if (found := summary["results"][method].get(f"{rate:g}")) is not None
    ]


def _recall(summary: Summary) -> Table:
    rows = []
    for title, rate, found in _cells(summary):
        rows.append(
            (
                rate,
                title,
                str(len(found["seeds"])),
                *(percent(found[score]["last"]) for score in ("r1_t2i", "r5_t2i")),
                *(_value(found[score]["best"]) for score in ("r1_t2i",)),
                *(percent(found[score]["last"]) for score in ("r1_i2t", "r5_i2t")),
                *(_value(found[score]["best"]) for score in ("r1_i2t",)),
            )
        )
    header = (
        "wrong", "method", "seeds", "T2I R@1 Last", "T2I R@5 Last", "T2I R@1 Best",
        "I2T R@1 Last", "I2T R@5 Last", "I2T R@1 Best",
    )  # fmt: skip
    starts = [found["r1_t2i"]["start"] for _, _, found in _cells(summary)][:1]
    before = f" Before training: T2I R@1 {_value(starts[0])}." if starts and starts[0] else ""
    note = f"Percent of {summary['num_test']:,} test pairs. {summary['best']}{before}"
    return Table("Retrieval", note, header, rows)


def _costs(summary: Summary) -> Table:
    rows = [
        (
            rate,
            title,
            percent(found["against_infonce"], sign=True),
            percent(found["against_infonce_relative"], sign=True),
            percent(found["retention"]),
            percent(found["share_of_oracle"]),
            percent(found["best_minus_last"], digits=2),
        )
        for title, rate, found in _cells(summary)
    ]
    header = (
        "wrong", "method", "against InfoNCE, points", "relative, %", "retention, %",
        "share of oracle, %", "Best - Last, points",
    )  # fmt: skip
    note = (
        f"Text-to-image R@1 of the last model. {summary['intervals']} Share of oracle: RDE and "
        "triplet alignment against the oracle with RDE's towers, all others against InfoNCE's. A "
        f"ratio is left out ({_NONE}) where what it divides by has fewer than {LEAST_HITS} hits a "
        "seed: its interval would reach from less than 0.7 to more than 1.4 times the value."
    )
    return Table("What wrong captions cost", note, header, rows)


def _detection(summary: Summary) -> Table:
    rows = []
    for rate in summary["rates"]:
        key, shown = f"{rate:g}", f"{100 * rate:.0f}%"
        start = summary["zero_shot_detection"].get(key)
        found = [("zero-shot cosine", start)] if start else []
        found += [
            (title_of(m), summary["results"][m][key]["detection"])
            for m in summary["methods"]
            if key in summary["results"][m]
        ]
        for title, one in found:
            if one is not None:
                figures = ("auroc", "f1", "false_flag_rate", "estimated_rate")
                cells = (number(one.get(name)) for name in figures)
                rows.append((shown, title, one["scored_by"], *cells))
    note = (
        "Mismatched is the positive class; flagged above a probability of one half. Intervals: "
        f"{summary['detection_intervals']}; of the estimated rate: least and greatest of the "
        "seeds. By cosine: probabilities of a free mixture over 1 - cosine."
    )
    header = ("wrong", "method", "scored by", "AUROC", "F1", "false flags", "estimated rate")
    return Table("Detection of mismatched pairs", note, header, rows)


def _rates(tuning: Mapping[str, Any]) -> Table:
    grid = tuning["grid"]
    rows = []
    for method, found in tuning["methods"].items():
        known = {one["lr"]: f"{one['figure']:.4f}" for one in found["validation"]}
        edge = " (edge)" if found["at_edge"] else ""
        figures = (known.get(lr, _NONE) for lr in grid)
        rows.append((title_of(method), f"{found['lr']:g}{edge}", *figures))
    note = (
        f"Figures: {tuning['chosen_by']} "
        f"({', '.join(f'{100 * rate:.0f}%' for rate in tuning['rates'])}; seed {tuning['seed']}). "
        "The rate holds for all shares."
    )
    return Table("Learning rates", note, ("method", "chosen", *(f"{lr:g}" for lr in grid)), rows)
