"""The report of any study: ``study.json``, ``study.md``, ``study.html`` and its plots as PNG."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure

from data_pipelines.shards.atomic import make_folder, write_file
from eval.report.figures import STYLE, Picture, as_picture
from eval.report.page import render_page
from eval.studies.tables import Table, as_markdown, as_text

DATA, TEXT, PAGE = "study.json", "study.md", "study.html"

_PLOT_DPI = 150


class Plate(NamedTuple):
    """A plot with what has to be said about it; ``name`` is that of its file."""

    name: str
    title: str
    caption: str
    figure: Figure

    @property
    def file_name(self) -> str:
        """Of its PNG, beside the page."""
        return f"study-{self.name}.png"

    @property
    def picture(self) -> Picture:
        """For an ``img`` element."""
        with matplotlib.rc_context(STYLE):
            return as_picture(self.figure)

    @property
    def png(self) -> bytes:
        """The plot as a file."""
        stream = io.BytesIO()
        with matplotlib.rc_context(STYLE):
            self.figure.savefig(stream, format="png", dpi=_PLOT_DPI, metadata={"Software": None})
        return stream.getvalue()

    @property
    def markdown(self) -> str:
        """The PNG with its title and caption."""
        return f"![{self.title}]({self.file_name})\n\n{self.title}. {self.caption}\n"


class StudyPage(NamedTuple):
    """What the page and the text show.

    Attributes:
        title: of the study.
        lead: one line of what was compared.
        facts: about it, by name.
        settings: of the study.
        tables, plates: in their order; plates come first on the page.
    """

    title: str
    lead: str
    facts: Mapping[str, str]
    settings: Mapping[str, Any]
    tables: Sequence[Table]
    plates: Sequence[Plate]


class StudyReport(NamedTuple):
    """What was found and where it was written.

    Attributes:
        summary: all figures of the study.
        text: the tables, for a terminal.
        page: the HTML page.
    """

    summary: dict[str, Any]
    text: str
    page: Path


def write_study(
    out: Path, summary: dict[str, Any], page: StudyPage, *, plates_first: bool
) -> StudyReport:
    """Write all files of a report.

    Args:
        out: folder of the study.
        summary: all figures; JSON values, undefined ones null.
        page: what is shown of them.
        plates_first: whether plots stand before the tables in ``study.md`` too.
    Raises:
        DataError: the folder cannot be written.
    """
    make_folder(out)
    write_file(out / DATA, (json.dumps(summary, indent=1, allow_nan=False) + "\n").encode())
    for plate in page.plates:
        write_file(out / plate.file_name, plate.png)
    write_file(out / TEXT, _markdown(page, plates_first=plates_first).encode())
    values = page._asdict() | {"plates": [(plate, plate.picture) for plate in page.plates]}
    write_file(out / PAGE, render_page("eval.studies", "study.html", values).encode())
    return StudyReport(summary, "\n\n".join(map(as_text, page.tables)), out / PAGE)


def _markdown(page: StudyPage, *, plates_first: bool) -> str:
    made = "\n".join(f"- {name}: {value}" for name, value in page.facts.items())
    plots = [plate.markdown for plate in page.plates]
    shown = [as_markdown(table) for table in page.tables]
    body = [*plots, *shown] if plates_first else [*shown, *plots]
    return "\n".join([f"# {page.title}", "", made, "", *body])
