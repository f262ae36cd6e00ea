"""One HTML page of a run: tables by every axis, published figures, letters, unread answers."""

from pathlib import Path
from typing import NamedTuple

from data_pipelines.shards.atomic import make_folder, write_file
from eval.omnibench.outcomes import Outcome
from eval.omnibench.scoring import ScoredLog, SettingScores
from eval.omnibench.tables import Table, beside_published, by_types, letters, overview
from eval.report.page import render_page
from eval.respondents.question import LETTERS

PAGE = "omnibench.html"

#: Unread answers of a setting that the page quotes, and characters of each.
_QUOTED = 12
_QUOTED_CHARACTERS = 600


class _Quote(NamedTuple):
    """A response without an answer in it."""

    setting: str
    index: int
    question: str
    options: list[str]
    kind: str
    text: str


def write_page(scored: ScoredLog, folder: Path) -> Path:
    """Write the page; equal scores give equal bytes.

    Raises:
        DataError: the folder cannot be written.
    """
    make_folder(folder)
    page = folder / PAGE
    write_file(page, render(scored).encode())
    return page


def render(scored: ScoredLog) -> str:
    """The page as text; it needs nothing else: no network, no scripts, no other file."""
    parsers = sorted({scores.parser for scores in scored.settings.values()})
    values = dict(
        model=scored.model,
        facts={
            "questions": f"{scored.asked[0]:,} of {scored.asked[1]:,} of {scored.question_set}",
            "revision": scored.revision[:16],
            "prompt style": scored.style or "none",
            "parser": ", ".join(parsers),
        },
        notes=scored.notes,
        tables=_tables(scored),
        quotes=[q for scores in scored.settings.values() for q in _quotes(scores)],
    )
    return render_page("eval.omnibench", "page.html", values)


def _tables(scored: ScoredLog) -> list[Table]:
    settings = list(scored.settings.values())
    return [
        overview(scored),
        *map(by_types, settings),
        *beside_published(scored),
        *map(letters, settings),
    ]


def _quotes(scores: SettingScores) -> list[_Quote]:
    silent = [o for o in scores.outcomes if o.kind not in ("answered", "missing")]
    return [_quote(scores.setting, outcome) for outcome in silent[:_QUOTED]]


def _quote(setting: str, outcome: Outcome) -> _Quote:
    text = outcome.text
    if len(text) > _QUOTED_CHARACTERS:
        half = _QUOTED_CHARACTERS // 2
        text = f"{text[:half]} [...] {text[-half:]}"
    question = outcome.question
    options = [f"{LETTERS[i]}. {option}" for i, option in enumerate(question.options)]
    return _Quote(setting, question.index, question.text, options, outcome.kind, text)
