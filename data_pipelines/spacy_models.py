"""spaCy pipelines by package or folder, wherever in it the model lies.

spaCy itself loads a package through a ``load`` function of its own and from one place in it, so
that a model which is packed otherwise (another folder, another suffix of the name) cannot be had.
Here the folder is looked for: it is the one that holds ``config.cfg`` and ``meta.json``.

Nothing is unpickled: spaCy reads the settings as a config of registered functions, tables and
weights as JSON and msgpack, word vectors by NumPy without pickles, and PyTorch weights as plain
tensors. A package is imported only where the config names a function that nothing installed
registers, and such a package is code that its user installed.
"""

import importlib
import importlib.util
import os
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

from data_pipelines.bounded_json import read_json
from data_pipelines.errors import DataError

_CONFIG, _META = "config.cfg", "meta.json"
_DEEPEST = 5
_FAULTS = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, ImportError, EOFError,
    RuntimeError, OverflowError, MemoryError,
)  # fmt: skip


class SpacyModelError(DataError):
    """No spaCy pipeline there, or one that lacks something."""


def load_pipeline(name: str) -> Any:
    """A spaCy pipeline.

    Args:
        name: of a distribution ("en-core-web-sm"), of the package in it ("en_core_web_sm"), or a
            folder; dashes, underscores and case of the first two make no difference.
    Raises:
        SpacyModelError: spaCy is not installed, there is no such model, or several, or it cannot
            be read.
    """
    try:
        import spacy.util
    except ImportError as error:
        raise SpacyModelError(
            f"spacy:{name} needs the package spacy ({error}): pip install -e .[xmai]; or choose "
            "rules"
        ) from error
    package, roots = _roots(name)
    folder = _only_model(name, roots)
    try:
        return spacy.util.load_model_from_path(folder)
    except _FAULTS as error:
        failure = error
    if package and _names_unknown_function(failure):
        try:
            importlib.import_module(package)
            return spacy.util.load_model_from_path(folder)
        except _FAULTS as error:
            failure = error
    raise SpacyModelError(
        f"the spaCy model in {folder} cannot be loaded ({_first_line(failure)}); it was made with "
        f"{_made_with(folder)}, this is {spacy.util.get_package_version('spacy')}: install what it "
        "needs, give another one, or choose rules"
    ) from failure


def check_parts(pipeline: Any, name: str, *, any_of: tuple[str, ...], purpose: str) -> None:
    """Make sure that a pipeline has one of some components.

    Raises:
        SpacyModelError: it has none of them.
    """
    if not set(any_of) & set(pipeline.pipe_names):
        found = ", ".join(pipeline.pipe_names) or "none"
        raise SpacyModelError(
            f"spaCy model '{name}' has no {any_of[0]}, which {purpose} need (its components: "
            f"{found}); give one that has (en_core_web_sm), or choose rules"
        )


def model_folders(root: Path) -> list[Path]:
    """Folders at or below ``root`` that hold a model; none that lies in another model."""
    found: list[Path] = []
    for path, folders, files in os.walk(root):
        here = Path(path)
        if _CONFIG in files and _META in files:
            found.append(here)
            folders.clear()
        elif len(here.relative_to(root).parts) >= _DEEPEST:
            folders.clear()
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__pycache__")
    return sorted(found)


def _only_model(name: str, roots: list[Path]) -> Path:
    found = sorted({folder.resolve() for root in roots for folder in model_folders(root)})
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(map(str, found[:5])) + (", ..." if len(found) > 5 else "")
        raise SpacyModelError(
            f"'{name}' holds {len(found)} spaCy models ({listed}); give the folder of one: "
            f"spacy:{found[0]}"
        )
    if not roots:
        raise SpacyModelError(
            f"spaCy has no model '{name}'{_installed_ones()}; install it (python -m spacy download "
            f"{name or 'en_core_web_sm'}), give the folder of one, or choose rules"
        )
    raise SpacyModelError(
        f"'{name}' ({roots[0]}) holds no spaCy model: none of its folders has {_CONFIG} and {_META}"
        f"{_old_format(roots)}; give a package or folder that has, or choose rules"
    )


def _roots(name: str) -> tuple[str | None, list[Path]]:
    """The package to import if need be, and the folders to look through."""
    is_path = os.sep in name or name.startswith((".", "~"))
    packages = {} if is_path else {one: _package_folders(one) for one in _packages(name)}
    installed = [(package, folders) for package, folders in packages.items() if folders]
    if installed:
        with_model = (one for one in installed if any(map(model_folders, one[1])))
        return next(with_model, installed[0])
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        return None, [folder]
    return None, []


def _packages(name: str) -> Iterator[str]:
    """Names to import: the one given, and those of the distribution that is called so."""
    if not name:
        return
    yield name.replace("-", "_")
    try:
        distribution = metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError):
        return
    listed = (distribution.read_text("top_level.txt") or "").split()
    first = {PurePosixPath(str(file)).parts[0] for file in distribution.files or ()}
    yield from dict.fromkeys([*listed, *sorted(part for part in first if part.isidentifier())])


def _package_folders(package: str) -> list[Path]:
    """Where a package lies, without importing it."""
    first, *rest = package.split(".")
    if not all(part.isidentifier() for part in (first, *rest)):
        return []
    try:
        spec = importlib.util.find_spec(first)
    except (ImportError, ValueError):
        return []
    places = [] if spec is None else spec.submodule_search_locations or []
    folders = [Path(place, *rest) for place in places]
    return [folder for folder in folders if folder.is_dir()]


def _installed_ones() -> str:
    names = sorted({point.name for point in metadata.entry_points(group="spacy_models")})
    return f" (installed: {', '.join(names)})" if names else ""


def _old_format(roots: list[Path]) -> str:
    is_old = any(
        (meta.parent / "vocab").is_dir() for root in roots for meta in root.glob(f"**/{_META}")
    )
    return " (it looks like a model of spaCy 2, which spaCy 3 cannot read)" if is_old else ""


def _names_unknown_function(error: BaseException) -> bool:
    """E002 and its like: a component, language or function that nothing has registered."""
    text = str(error)
    return "E002" in text or "E048" in text or "E893" in text or "registry" in text


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _made_with(folder: Path) -> str:
    try:
        version = read_json(folder / _META).get("spacy_version")
    except (OSError, ValueError, AttributeError):
        version = None
    return f"spaCy {version}" if version else "a spaCy that it does not name"
