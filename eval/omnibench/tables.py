"""Scores of OmniBench as tables of text, for the terminal and the page."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from eval.metrics.intervals import RECALL_INTERVAL, WILSON
from eval.omnibench.audit import audit
from eval.omnibench.comparison import Compared
from eval.omnibench.leaderboard import published
from eval.omnibench.scoring import ScoredLog, SettingScores, positions
from eval.report.tables import interval, number, percent
from eval.respondents.outcome import KINDS
from eval.respondents.question import LETTERS
from eval.results import Score


class Table(NamedTuple):
    """A table with what must be said under it."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str = ""


def shown(score: Score | None) -> str:
    """ "41.3 (35.0 to 47.8)" in percent; a dash for none."""
    return "-" if score is None else f"{number(score.value, score.unit)} ({interval(score)})"


def overview(scored: ScoredLog) -> Table:
    """One row a setting: micro, both macro means, without the unanswered, and the counts."""
    header = (
        "setting", "n", "accuracy % (95%)", "mean over tasks", "mean over audio types",
        "of answered", "answered", *KINDS[1:], "chance %",
    )  # fmt: skip
    rows = [
        (
            name,
            f"{len(s.outcomes):,}",
            shown(s.accuracy),
            shown(s.macro_task),
            shown(s.macro_audio),
            shown(s.answered_only),
            *(f"{s.counts[kind]:,}" for kind in KINDS),
            percent(s.chance),
        )
        for name, s in scored.settings.items()
    ]
    note = (
        "Questions without an answer count as wrong in all columns but 'of answered', whose n is "
        f"'answered'. Intervals: {WILSON}; of the means over types: {RECALL_INTERVAL}."
    )
    return Table("Settings", header, rows, note)


def by_types(scores: SettingScores) -> Table:
    """Task types down, audio types across, with both margins."""
    audios = list(scores.by_audio)
    rows = [
        (
            task,
            *(_with_n(scores.by_both.get((task, audio))) for audio in audios),
            _with_n(score),
        )
        for task, score in scores.by_task.items()
    ]
    rows.append(
        ("all", *(_with_n(scores.by_audio[audio]) for audio in audios), _with_n(scores.accuracy))
    )
    header = ("task type", *audios, "all")
    return Table(f"By task and audio type: {scores.setting}", header, rows, "% (95%), n")


def letters(scores: SettingScores) -> Table:
    """Place of the right option against the chosen one, and how often each is chosen."""
    table = positions(scores.outcomes)
    names = [*LETTERS[: len(table)], "none"]
    rows = [(f"right: {LETTERS[i]}", *map(str, row), str(row.sum())) for i, row in enumerate(table)]
    rows.append(("chosen", *map(str, table.sum(axis=0)), str(table.sum())))
    note = "A model that prefers a place, whatever stands there, fills a column."
    return Table(f"Letters: {scores.setting}", ("", *names, "n"), rows, note)


def beside_published(scored: ScoredLog) -> list[Table]:
    """Published rows of each setting that has some, ours among them, best first."""
    found = audit()
    tables = []
    for name, scores in scored.settings.items():
        rows = [
            (a.row.overall, a.row.model, f"{a.row.overall:.2f}", a.mark)
            for a in found.rows
            if a.row.setting == name
        ]
        if not rows and name not in ("image", "audio"):
            continue
        rows += [
            (cells[name], model, f"{cells[name]:.2f}", "table of the README, nowhere else")
            for model, cells in published().readme.items()
            if name in cells and not any(a.row.setting == name for a in found.rows)
        ]
        own = 100 * scores.accuracy.value
        rows.append((own, f"> {scored.model}", shown(scores.accuracy), "this run"))
        ordered = sorted(rows, key=lambda row: (-row[0], row[1]))
        tables.append(
            Table(
                f"Published: {name}",
                ("model", "accuracy %", "audit"),
                [row[1:] for row in ordered],
                f"{published().sources['rows']}. Published parsing and prompts differ from these; "
                "none of the published figures has an interval.",
            )
        )
    return tables


def side_by_side(by_parser: Mapping[str, ScoredLog]) -> Table:
    """The same responses under several parsers."""
    first = next(iter(by_parser.values()))
    header = ("setting", *(f"{name}: % (unparsed)" for name in by_parser))
    rows = [
        (
            setting,
            *(
                f"{shown(s.settings[setting].accuracy)} "
                f"({s.settings[setting].counts['unparsed']:,})"
                for s in by_parser.values()
            ),
        )
        for setting in first.settings
    ]
    note = "Gold labels are places in the list of options for every parser."
    return Table("Parsers", header, rows, note)


def compared(rows: Sequence[Compared], first: str, second: str) -> Table:
    """Differences in points with both intervals and McNemar's p value."""
    header = (
        "",
        "n",
        "difference (Newcombe)",
        "gains and losses",
        "only first",
        "only second",
        "p",
    )
    body = [
        (
            row.what,
            f"{row.paired.difference.n:,}",
            shown(row.paired.difference),
            f"{interval(row.bootstrap)}",
            str(row.paired.only_first),
            str(row.paired.only_second),
            f"{row.paired.p_value:.2g}",
        )
        for row in rows
    ]
    note = (
        "Points, first minus second, on the same questions; p: exact McNemar test, not corrected "
        "for the number of types."
    )
    return Table(f"{first} against {second}", header, body, note)


def as_text(table: Table) -> str:
    """For a terminal."""
    rows = [table.header, *table.rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([table.title, "", *lines, *([table.note] if table.note else [])])


def _with_n(score: Score | None) -> str:
    return "-" if score is None else f"{shown(score)}, {score.n:,}"
