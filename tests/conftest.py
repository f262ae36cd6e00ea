"""Equal runs draw equal examples; checked imports use the bytecode that is there."""

import os
from collections.abc import Callable
from importlib.util import cache_from_source
from typing import Any

import jaxtyping._import_hook as hook
from hypothesis import settings

_LIBRARIES = f"{os.sep}site-packages{os.sep}"

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
