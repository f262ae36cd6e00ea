"""Tables of a detection study."""

from collections.abc import Mapping
from typing import Any

from eval.studies.tables import Table

_NONE = "-"
#: What tables call a mode.
TITLES: Mapping[str, str] = {
    "supervised": "supervised, base labels",
    "text": "ViLD-text",
    "image": "ViLD-image",
    "vild": "ViLD",
    "ensemble": "ViLD-ensemble",
    "crop": "teacher on crops",
}


def tables(summary: Mapping[str, Any]) -> list[Table]:
    """AP50, differences, controls, and where the time went."""
    return [_main(summary), _differences(summary), _controls(summary), _times(summary)]


def points(found: Mapping[str, Any] | None, *, sign: bool = False) -> str:
    """A share as points of AP with its interval, ``31.2 (29.9 to 32.6)``."""
    if found is None or found["value"] is None:
        return _NONE
    form = f"{'+' if sign else ''}.1f"
    value = f"{100 * found['value']:{form}}"
    if found["low"] is None:
        return value
    return f"{value} ({100 * found['low']:{form}} to {100 * found['high']:{form}})"


def _main(summary: Mapping[str, Any]) -> Table:
    rows = [
        (
            TITLES[mode],
            _NONE if mode == "crop" else str(len(found["seeds"])),
            points(found["ap50"]["novel"]),
            points(found["ap50"]["base"]),
            f"{100 * found['ap']['novel']:.1f}",
            f"{100 * found['ap']['base']:.1f}",
            f"{1000 * found['detect_seconds'] / summary['num_pictures']:.0f}",
        )
        for mode, found in summary["results"].items()
    ]
    header = ("head", "seeds", "novel AP50", "base AP50", "novel AP", "base AP", "ms a picture")
    return Table("Boxes found, by what the head learned from", summary["intervals"], header, rows)


def _differences(summary: Mapping[str, Any]) -> Table:
    rows = [
        (name, points(found["novel"], sign=True), points(found["base"], sign=True))
        for name, found in summary["differences"].items()
    ]
    return Table("Differences", "Points of AP50.", ("heads", "novel", "base"), rows)


def _controls(summary: Mapping[str, Any]) -> Table:
    teacher, recalls = summary["teacher_top1"], summary["proposals"]
    rows = [
        ("teacher's top-1 on marked crops, novel / base",
         f"{100 * teacher['novel']:.1f} / {100 * teacher['base']:.1f}"),
        ("AR of 100 proposals, novel / base",
         f"{100 * recalls['novel']:.1f} / {100 * recalls['base']:.1f}"),
        ("recall of 100 proposals at IoU .5, novel / base",
         f"{100 * recalls['novel_50']:.1f} / {100 * recalls['base_50']:.1f}"),
        ("ViLD-image, shuffled vectors: novel AP50", points(summary["shuffled"]["novel"])),
        *[
            (f"{TITLES[mode]}, permuted novel names: novel AP50", points(found["permuted_novel"]))
            for mode, found in summary["results"].items()
        ],
        ("novel names that share a word with a base name",
         f"{100 * (summary['scenes']['shared_words'] or 0.0):.0f}%"),
    ]  # fmt: skip
    return Table("Controls", "Shares in percent.", ("what", "found"), rows)


def _times(summary: Mapping[str, Any]) -> Table:
    rows: list[tuple[str, ...]] = [
        (name, _minutes(own["wall"]), _minutes(own["cpu"]))
        for name, own in summary["stage_seconds"].items()
    ]
    whole = (summary["wall_clock_seconds"], summary["processor_seconds"])
    rows.append(("all", *map(_minutes, whole)))
    note = "Minutes; calls that went on where others stopped are added up."
    return Table("Time", note, ("stage", "wall clock", "processor"), rows)


def _minutes(seconds: float | None) -> str:
    return _NONE if seconds is None else f"{seconds / 60:.1f}"
