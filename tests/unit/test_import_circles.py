"""No module imports itself through others, in a function or at its top.

What the rooms may import of each other is in pyproject.toml (import-linter). This looks at single
modules, inside a room too. Imports below ``if TYPE_CHECKING`` run nowhere; their circles are
looked for as well, apart, since the next step from one is a real one.
"""

from functools import cache

import grimp
import pytest

_PACKAGES = ("vlsuite", "data_pipelines", "eval", "benchmarks")


@cache
def graph(*, typing_too: bool) -> grimp.ImportGraph:
    """Every import in the source, whichever function it is in."""
    return grimp.build_graph(
        *_PACKAGES, cache_dir=None, exclude_type_checking_imports=not typing_too
    )


def circles(imports: dict[str, set[str]]) -> set[tuple[str, ...]]:
    """Strongly connected modules, sorted, two or more at a time (Tarjan 1972)."""
    found: set[tuple[str, ...]] = set()
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []

    def visit(module: str) -> None:
        numbers[module] = lowest[module] = len(numbers)
        stack.append(module)
        for other in sorted(imports[module]):
            if other not in numbers:
                visit(other)
            if other in stack:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == numbers[module]:
            place = stack.index(module)
            members = stack[place:]
            del stack[place:]
            if len(members) > 1:
                found.add(tuple(sorted(members)))

    for module in sorted(imports):
        if module not in numbers:
            visit(module)
    return found


def _imports(of: grimp.ImportGraph) -> dict[str, set[str]]:
    return {m: of.find_modules_directly_imported_by(m) for m in of.modules}


@pytest.mark.parametrize("typing_too", [False, True], ids=["run", "typing"])
def test_no_module_is_in_a_circle(*, typing_too: bool) -> None:
    imports = _imports(graph(typing_too=typing_too))
    assert len(imports) > 400
    assert circles(imports) == set()


def test_circles_of_any_length_are_found() -> None:
    imports = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert circles(imports) == {("a", "b", "c"), ("d", "e")}


def test_an_import_in_a_function_counts() -> None:
    """This benchmark opens its models in the function that needs them."""
    details = graph(typing_too=False).get_import_details(
        importer="benchmarks.xmai_precision", imported="vlsuite.models.opening"
    )
    assert any(line["line_contents"].startswith("from vlsuite") for line in details)
