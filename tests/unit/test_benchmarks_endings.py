"""Every way of answering is counted as what it is, by the whole command."""

from pathlib import Path

import pytest

from benchmarks.omnibench_endings import cases, is_right, measure
from benchmarks.support.omni_questions import write_github_form


@pytest.mark.parametrize("name", cases())
def test_an_answer_counts_as_what_it_is(tmp_path: Path, name: str) -> None:
    questions = write_github_form(tmp_path / "questions", 2)
    case = cases()[name]
    found = measure(case, questions, tmp_path / "run")
    assert is_right(case, found, 2), found
