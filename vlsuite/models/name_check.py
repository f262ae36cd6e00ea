"""Names of models that stand for nothing, told before anything slow is imported."""

import difflib
import importlib.util
import os
import sys
from pathlib import Path

from vlsuite.errors import ModelError, UnknownNameError
from vlsuite.models.opening import ARCHITECTURE, forms, openers, parsed

#: Architectures of this package, as open_clip describes its own: a JSON file each.
OWN_CONFIGS = Path(__file__).parent / "dual_encoder" / "configs"

_LOCAL = "local-dir"


def refuse_missing_model(name: str) -> None:
    """Refuse a name that is neither a folder nor an architecture; nothing is opened.

    What passes may still be no model: only opening it says so.

    Raises:
        ModelError: no such folder.
        UnknownNameError: no such architecture, or kind of model.
    """
    found = parsed(name)
    if found.is_address:
        openers.refuse_unknown(found.kind)
    elif found.kind == _LOCAL and not os.path.isdir(found.rest):
        raise ModelError(
            f"no such folder: {found.rest}; local-dir:FOLDER is a folder with "
            "open_clip_config.json, and 'vlsuite export RUN' writes one"
        )
    elif found.kind == ARCHITECTURE:
        _refuse_architecture(name, *found.halves)


def _refuse_architecture(name: str, model: str, weights: str) -> None:
    known = _architectures()
    if model in known:
        return
    if os.path.isfile(name):
        raise ModelError(
            f"{name} is a file; weights are named with their architecture: ARCHITECTURE:{name}"
        )
    if _is_path(model):
        raise ModelError(f"no such folder: {name}; give a run folder, or ARCHITECTURE:WEIGHTS")
    close = difflib.get_close_matches(model, sorted(known), n=3, cutoff=0.4)
    nearest = f" (closest: {', '.join(close)})" if close else ""
    folder = "" if weights else f"there is no folder '{name}' here, and "
    raise UnknownNameError(f"{folder}unknown architecture '{model}'{nearest}; {forms()}")


def _is_path(text: str) -> bool:
    return os.sep in text or text.startswith((".", "~"))


def _architectures() -> set[str]:
    """All that open_clip can build, without its import, which takes seconds."""
    folders = [OWN_CONFIGS]
    spec = importlib.util.find_spec("open_clip")
    for place in (spec and spec.submodule_search_locations) or ():
        folders.append(Path(place) / "model_configs")
    known = {path.stem for folder in folders for path in folder.glob("*.json")}
    if loaded := sys.modules.get("open_clip"):  # a plug-in may have added some
        known |= set(loaded.list_models())
    return known
