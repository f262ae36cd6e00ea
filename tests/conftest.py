"""Equal runs: equal examples, one thread, no test leaves variables to the next."""

import gc
import os
from collections.abc import Callable, Iterator
from importlib.util import cache_from_source
from typing import Any

import jaxtyping._import_hook as hook
import pytest
from hypothesis import settings

_LIBRARIES = f"{os.sep}site-packages{os.sep}"

# As many as a training run takes: sums do not depend on the machine's cores, and the two
# processes of `make test` do not compete for them.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What is imported stays. Looking through it again and again while a million objects come from the
# imports costs a quarter of their time; later, every full collection would look through them.
gc.disable()

settings.register_profile("equal", derandomize=True, deadline=None, database=None)
settings.load_profile("equal")


def _own_names_for_checked_modules(names: Callable[..., str]) -> Callable[..., str]:
    """jaxtyping's names of bytecode files, but the usual ones for libraries.

    While a checked module is imported, jaxtyping renames the bytecode of everything, so that
    what that module imports, torch too, would be compiled once more in every test process.
    """

    def name_of(checker: str, /, path: str, *rest: Any, **more: Any) -> str:
        if _LIBRARIES in path:
            return cache_from_source(path, *rest, **more)
        return names(checker, path, *rest, **more)

    return name_of


hook._optimized_cache_from_source = _own_names_for_checked_modules(
    hook._optimized_cache_from_source
)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Garbage is collected again, but not looked for in what the imports made."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """What libraries find unfreed at the end they would report as leaked."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _same_environment() -> Iterator[None]:
    """A training run describes its process group in variables; they end with the test."""
    before = dict(os.environ)
    yield
    if os.environ != before:
        os.environ.clear()
        os.environ.update(before)
