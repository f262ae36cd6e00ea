"""No module binds the name ``eval`` to our package: that would hide the builtin."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("vlsuite", "data_pipelines", "eval", "benchmarks", "tests")


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_import_hides_the_builtin(folder):
    offenders = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import)
        for alias in node.names
        if (alias.asname or alias.name.split(".")[0]) == "eval"
    ]
    assert offenders == []
