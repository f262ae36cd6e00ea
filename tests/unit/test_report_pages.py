"""All HTML pages share one frame, and none can load anything or run what data says."""

from pathlib import Path

import jinja2
import pytest

from eval.report.page import render_page

EVAL = Path(__file__).parents[2] / "eval"
TEMPLATES = sorted(EVAL.rglob("*.html"))
PAGES = [path for path in TEMPLATES if path.name not in ("frame.html", "parts.html")]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.parent.name + "/" + path.name)
def test_every_page_is_in_the_frame(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith('{% extends "frame.html" %}\n')
    assert "<style" not in text
    assert "| safe" not in text.replace('"&ndash;" | safe', "")


def test_only_the_frame_makes_pages() -> None:
    makers = [p for p in EVAL.rglob("*.py") if "import jinja2" in p.read_text(encoding="utf-8")]
    assert makers == [EVAL / "report" / "page.py"]
    assert len(PAGES) >= 5


def test_values_are_escaped_and_missing_names_are_errors() -> None:
    values = {"title": "<b>a</b>", "cards": [], "num_changed": 0, "seed": 1}
    page = render_page("eval.xmai", "page.html", values)
    assert "<title>Perturbed captions: &lt;b&gt;a&lt;/b&gt;</title>" in page
    assert "default-src 'none'" in page
    with pytest.raises(jinja2.UndefinedError, match="seed"):
        render_page("eval.xmai", "page.html", {k: v for k, v in values.items() if k != "seed"})


def test_scripts_run_only_where_a_page_has_one() -> None:
    allowed = [path for path in PAGES if "script-src" in path.read_text()]
    assert allowed == [path for path in PAGES if "<script" in path.read_text()]
    assert [path.name for path in allowed if "unsafe-inline" in path.read_text()] == ["page.html"]
