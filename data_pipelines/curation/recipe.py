"""A recipe: filters in order with their settings, in a small TOML file.

::

    about = "English captions of some length"

    [[stage]]
    filter = "language"
    languages = ["en"]

    [[stage]]
    name = "short"          # what tables and lineage call it; by default the filter's name
    filter = "caption-length"
    min_words = 3
"""

import hashlib
import json
import tomllib
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from data_pipelines.curation.filter import SampleFilter, filters
from data_pipelines.errors import ConfigError, DataError, UnknownNameError
from data_pipelines.schema import JsonValue
from data_pipelines.settings import apply_overrides, from_dict, to_dict

_FOLDER = Path(__file__).parent / "recipes"

#: The filter that comes before those of every recipe.
FIRST = "readable"


class Stage(NamedTuple):
    """A filter with its settings, under the name of its place in a recipe."""

    name: str
    filter: SampleFilter

    def identity(self) -> dict[str, JsonValue]:
        """Everything that its rules depend on but the table."""
        files: dict[str, JsonValue] = {**self.filter.digests()}
        return {
            "name": self.name,
            "filter": filters.name_of(type(self.filter)),
            "settings": to_dict(self.filter),
            **({"files": files} if files else {}),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Stages in order; the first is always ``readable``."""

    name: str
    about: str
    stages: tuple[Stage, ...]

    def identity(self) -> list[JsonValue]:
        """Everything that the result depends on but the table."""
        return [stage.identity() for stage in self.stages]

    def sha256(self) -> str:
        """Of its identity, in hexadecimal."""
        return hashlib.sha256(json.dumps(self.identity(), sort_keys=True).encode()).hexdigest()


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def load_recipe(name: str, *, overrides: tuple[str, ...] = ()) -> Recipe:
    """A recipe by its name, or by the path of its file.

    Args:
        overrides: ``STAGE.SETTING=VALUE``.
    Raises:
        UnknownNameError: there is no such recipe or filter.
        DataError: the file cannot be read.
        ConfigError: it is no recipe, or a setting is unknown or wrong.
    """
    path = _path_of(name)
    content = _content(path)
    unknown = content.keys() - {"about", "stage"}
    listed = content.get("stage")
    if unknown or not isinstance(listed, list) or not listed:
        raise ConfigError(
            f"{path} is no recipe: it wants one [[stage]] or more with 'filter', and 'about'"
            + (f", not '{min(unknown)}'" if unknown else "")
        )
    stages = [Stage(FIRST, filters.get(FIRST)())]
    for number, entry in enumerate(listed):
        stages.append(_stage(entry, where=f"{path} stage {number + 1}"))
    _refuse_equal_names(stages, path)
    return Recipe(
        name=path.stem,
        about=str(content.get("about", "")),
        stages=tuple(_overridden(stages, overrides)),
    )


def _path_of(name: str) -> Path:
    path = _FOLDER / f"{name}.toml"
    if path.is_file():
        return path
    if Path(name).is_file():
        return Path(name)
    raise UnknownNameError(
        f"no recipe '{name}'; known: {', '.join(recipe_names())}, or the path of a TOML file"
    )


def _content(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the recipe {path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the recipe {path} is no TOML: {error}") from error


def _stage(entry: Any, *, where: str) -> Stage:
    if not isinstance(entry, dict) or not isinstance(entry.get("filter"), str):
        raise ConfigError(f"{where} has no filter; write filter = NAME, of {_known()}")
    chosen = entry["filter"]
    name = entry.get("name", chosen)
    if not isinstance(name, str) or not name or "." in name:
        raise ConfigError(f"{where}: its name {name!r} must be a word without a dot")
    settings = {key: value for key, value in entry.items() if key not in ("filter", "name")}
    _refuse_missing(chosen, settings, where)
    return Stage(name, from_dict(filters.get(chosen), settings, where=f"{name}."))


def _refuse_missing(chosen: str, settings: dict[str, Any], where: str) -> None:
    for field in fields(filters.get(chosen)):
        has_default = not (field.default is MISSING and field.default_factory is MISSING)
        if field.init and not has_default and field.name not in settings:
            raise ConfigError(
                f"{where}: filter '{chosen}' wants the setting '{field.name}'; write "
                f"{field.name} = ... ('vlsuite curate run --list' says what it is)"
            )


def _overridden(stages: list[Stage], overrides: tuple[str, ...]) -> list[Stage]:
    for override in overrides:
        name, dot, rest = override.partition(".")
        places = [i for i, stage in enumerate(stages) if stage.name == name]
        if not dot or not places:
            known = ", ".join(stage.name for stage in stages)
            raise ConfigError(
                f"--set {override}: write STAGE.SETTING=VALUE; stages of this recipe: {known}"
            )
        (place,) = places
        changed = apply_overrides(stages[place].filter, [rest], where=f"{name}.")
        stages[place] = Stage(name, changed)
    return stages


def _refuse_equal_names(stages: list[Stage], path: Path) -> None:
    names = [stage.name for stage in stages]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"{path} has two stages called '{name}'"
                + (" (every run begins with it)" if name == FIRST else "")
                + "; give one another name"
            )


def _known() -> str:
    return ", ".join(filters.names())
