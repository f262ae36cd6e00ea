"""Scores of several models as text: a table where there is room, else a list; never too wide."""

import pytest

from eval.report.compare_text import TextRow, columns_here, scores_text

PATHS = [f"/data/somebody/studies/first/cells/{name}/export" for name in ("text", "vild")]
CELLS = ("44.1 [41.2 to 47.0]", "54.1* [51.2 to 57.0] +10.0 (7.7 to 12.2)")
ROWS = [
    TextRow("zero_shot", "wds_imagenetv2 (test)", "top-1 accuracy, %", CELLS),
    TextRow("retrieval", "wds_flickr30k (test)", "image to text R@5, %", CELLS),
]
NOTES = [f"* differs from {{first}}: {'p of the paired difference ' * 6}"]


@pytest.mark.parametrize("columns", [80, 100])
def test_long_names_are_shortened_and_told_in_full(columns):
    text = scores_text(PATHS, ROWS, NOTES, columns=columns)
    full = [f"{label} is {path}" for label, path in zip(("text", "vild"), PATHS, strict=True)]
    lines = text.splitlines()
    assert max(len(line) for line in lines if line not in full) <= columns
    assert set(full) <= set(lines)
    assert "* differs from text: p of" in text
    for row in ROWS:
        start = lines.index(f"{row.benchmark}, {row.dataset}: {row.score}")
        assert lines[start + 1 : start + 3] == [f"  text  {CELLS[0]}", f"  vild  {CELLS[1]}"]


def test_a_table_where_there_is_room():
    rows = [TextRow("zero_shot", "set (test)", "top-1, %", ("44.1 [41 to 47]", "-"))]
    assert scores_text(["runs/a", "b:c"], rows, [], columns=100).splitlines() == [
        "benchmark  data set    score     runs/a           b:c",
        "---------  ----------  --------  ---------------  ---",
        "zero_shot  set (test)  top-1, %  44.1 [41 to 47]  -",
    ]


@pytest.mark.parametrize(("terminal", "columns"), [("60", 60), ("250", 100)])
def test_it_is_as_wide_as_the_terminal_up_to_100(monkeypatch, terminal, columns):
    monkeypatch.setenv("COLUMNS", terminal)
    assert columns_here() == columns
