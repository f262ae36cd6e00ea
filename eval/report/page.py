"""Pages of the suite: one frame, one look; a page needs nothing else and loads nothing."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from data_pipelines.printable import printable
from eval.report.thumbnails import is_thumbnail

#: The one script of reports: a browser runs it by its digest, and nothing else.
_SORTING = "sort_tables.js"


def render_page(package: str, template: str, values: Mapping[str, Any]) -> str:
    """A page as text; equal values give equal text.

    A template starts with ``{% extends "frame.html" %}`` and fills that file's blocks; macros for
    what several pages show are in ``parts.html``. All values are escaped, and
    what no page may hold is shown (see ``printable``).

    Args:
        package: where the template lies beside the code that fills it, ``eval.report``.
        template: its file name.
        values: what the template names; a name that is missing is an error.
    """
    places = [jinja2.PackageLoader(name, "") for name in dict.fromkeys((package, "eval.report"))]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(places),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.tests["thumbnail"] = is_thumbnail
    script = (Path(__file__).parent / _SORTING).read_text(encoding="utf-8")
    environment.globals["sorting"] = Markup(script)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    environment.globals["sorting_source"] = Markup(f"'sha256-{digest}'")
    return printable(environment.get_template(template).render(**values))
