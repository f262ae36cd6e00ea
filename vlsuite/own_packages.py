"""Our packages come from where this file is, never from the folder a command is started in.

``python -m`` puts the working folder first on the module search path: an ``eval.py`` or
``random.py`` of a user's would be imported in the place of ours, or of Python's own.
"""

import os
import sys

#: Packages of the same distribution, which stand beside this one.
_BESIDE = ("data_pipelines", "eval", "deepspeed_configs")


def leave_working_folder() -> None:
    """Take the working folder off the search path, here and for processes started from here.

    Where the packages themselves are in the working folder (a source tree that is not
    installed), everything stays as it is.
    """
    here = os.getcwd()
    if sys.path[:1] not in ([""], [here]):
        os.environ.setdefault("PYTHONSAFEPATH", "1")
    elif not os.path.samefile(here, _root()):
        del sys.path[0]
        os.environ.setdefault("PYTHONSAFEPATH", "1")


def shadowed() -> str | None:
    """What stands in the place of one of our packages, in one line; None where all are ours."""
    from importlib.util import find_spec

    for name in _BESIDE:
        loaded = sys.modules.get(name)
        spec = loaded.__spec__ if loaded is not None else find_spec(name)
        places = list(spec.submodule_search_locations or ()) if spec else []
        if any(_is_same(place, os.path.join(_root(), name)) for place in places):
            continue
        found = places[0] if places else spec.origin if spec else "nothing"
        return (
            f"the package '{name}' of vlsuite is hidden by {found}; rename that, or take its "
            f"folder off the module search path (PYTHONPATH, or the folder of the script)"
        )
    return None


def _root() -> str:
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _is_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
