"""Typed configuration: nested frozen dataclasses, dotted overrides, JSON and back.

Nothing is coerced silently: a value must parse as the field's declared type, an unknown key
fails with the nearest known one. Fields that choose a registered component carry the registry in
their metadata (:func:`component`); ``--set objective=siglip`` then picks it by name and
``--set objective.tile_size=512`` sets one of its own fields.
"""

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from data_pipelines.errors import ConfigError
from data_pipelines.field_types import fits, shown, type_name
from data_pipelines.registry import Registry
from data_pipelines.texts import listed

C = TypeVar("C")
_NAME_KEY = "kind"
_COMMA = re.compile(r",(?![^{]*\})")  # not one inside braces: {a,b}.tar is one value
_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


class _UnknownKeyError(ConfigError):
    """A dotted key ends where there is no such field.

    Attributes:
        key: its last part.
        closest: the most similar field that is there, if one is similar.
    """

    def __init__(self, where: str, key: str, known: Iterable[str]) -> None:
        known = list(known)
        self.key, self.closest = key, _closest(key, known)
        super().__init__(_unknown(where, key, known))


def component(registry: Registry, default: str) -> Any:
    """A dataclass field holding one component of ``registry``, by default the one so named."""
    return dataclasses.field(
        default_factory=lambda: registry.get(default)(), metadata={"registry": registry}
    )


def apply_overrides(config: C, overrides: str | Sequence[str], *, where: str = "") -> C:
    """A copy of ``config`` with every ``dotted.key=value`` applied in order.

    Args:
        where: stands before each key in messages ("model.").
    Raises:
        ConfigError: no ``=``, unknown key, a value that does not parse as the field's type, or a
            component that is chosen after settings of it, which choosing it would undo.
    """
    done: list[str] = []
    for override in listed(overrides):
        key, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(
                f"--set {where}{override}: expected key=value, for example optim.lr=5e-4"
            )
        path = f"{where}{key.strip()}"
        if undone := [one for one in done if one.startswith(f"{key.strip()}.")]:
            raise ConfigError(
                f"--set {path}={text} undoes --set {where}{undone[-1]}, which stands before it; "
                f"give {path} first"
            )
        done.append(override.strip())
        try:
            config = _replace_at(config, key.strip().split("."), text, where=path)
        except _UnknownKeyError as error:
            raise ConfigError(_meant(config, error, path, text, where=where)) from error
    return config


def to_dict(config: Any) -> Any:
    """JSON-ready form; a registered component carries its name under ``kind``."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {f.name: _field_to_dict(f, getattr(config, f.name)) for f in _fields(config)}
    if isinstance(config, list | tuple):
        return [to_dict(value) for value in config]
    return str(config) if isinstance(config, Path) else config


def differences(before: Any, after: Any) -> dict[str, tuple[Any, Any]]:
    """Settings that differ between two configs of one type: old and new value by dotted key."""
    old, new = flat_values(to_dict(before)), flat_values(to_dict(after))
    return {
        key: (old.get(key), new.get(key))
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    }


def flat_values(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings, JSON-ready, by dotted key."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        path = f"{prefix}{key}"
        found |= flat_values(value, f"{path}.") if isinstance(value, dict) else {path: value}
    return found


def from_dict(cls: type[C], data: dict[str, Any], *, where: str = "") -> C:
    """The inverse of :func:`to_dict`.

    Raises:
        ConfigError: an unknown key or a value of the wrong type; ``where`` prefixes the key.
    """
    fields = {f.name: f for f in _fields(cls)}
    hints = typing.get_type_hints(cls)
    values = {}
    if not isinstance(data, dict):
        raise ConfigError(f"setting '{where or 'config'}' is {shown(data)}, not an object")
    for key, value in data.items():
        path = f"{where}{key}"
        if key not in fields:
            raise ConfigError(_unknown(path, key, fields))
        values[key] = _from_json(value, hints[key], fields[key], where=path)
    return cls(**values)


def _fields(config: Any) -> tuple[dataclasses.Field, ...]:
    return tuple(f for f in dataclasses.fields(config) if f.init)


def _field_to_dict(field: dataclasses.Field, value: Any) -> Any:
    plain = to_dict(value)
    registry: Registry | None = field.metadata.get("registry")
    if registry is None:
        return plain
    return {_NAME_KEY: registry.name_of(type(value)), **plain}


def _replace_at(config: Any, keys: list[str], text: str, *, where: str) -> Any:
    fields = {f.name: f for f in _fields(config)}
    if keys[0] not in fields:
        raise _UnknownKeyError(where, keys[0], fields)
    field, current = fields[keys[0]], getattr(config, keys[0])
    if len(keys) > 1:
        if not dataclasses.is_dataclass(current):
            raise ConfigError(f"--set {where}: '{keys[0]}' is a single value, it has no sub-keys")
        value = _replace_at(current, keys[1:], text, where=where)
    elif "registry" in field.metadata:
        value = field.metadata["registry"].get(text)()
    else:
        value = parse_value(text, typing.get_type_hints(type(config))[keys[0]], where=where)
    return dataclasses.replace(config, **{keys[0]: value})


def parse_value(text: str, kind: Any, *, where: str) -> Any:
    """Text from the command line as a value of the annotated type ``kind``.

    Raises:
        ConfigError: the text does not parse; the message names the key and the type.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        if type(None) in arguments and text.lower() in {"none", "null", ""}:
            return None
        inner = [a for a in arguments if a is not type(None)]
        return parse_value(text, inner[0], where=where)
    if origin is Literal:
        if text not in arguments:
            raise ConfigError(f"--set {where}={text}: choose from {', '.join(arguments)}")
        return text
    if origin is tuple:
        return tuple(parse_value(part, arguments[0], where=where) for part in parts_of(text))
    if kind is bool:
        if text.lower() not in _TRUE | _FALSE:
            raise ConfigError(f"--set {where}={text}: expected true or false")
        return text.lower() in _TRUE
    if dataclasses.is_dataclass(kind):
        names = ", ".join(f.name for f in _fields(kind))
        raise ConfigError(f"--set {where}={text}: set one of its fields instead: {names}")
    try:
        return kind(float(text)) if kind is int and _is_integral(text) else kind(text)
    except ValueError as error:
        raise ConfigError(f"--set {where}={text}: expected {kind.__name__}") from error


def parts_of(text: str) -> list[str]:
    """The values of a list with commas, but for those inside braces; empty ones are left out."""
    return [part for part in _COMMA.split(text) if part]


def _is_integral(text: str) -> bool:
    try:
        return float(text).is_integer()
    except (ValueError, OverflowError):
        return False


def _from_json(value: Any, kind: Any, field: dataclasses.Field, *, where: str) -> Any:
    is_component = "registry" in field.metadata
    if is_component or (dataclasses.is_dataclass(kind) and isinstance(kind, type)):
        if not isinstance(value, dict):
            raise ConfigError(f"setting '{where}' is {shown(value)}, not an object")
        cls = field.metadata["registry"].get(str(value[_NAME_KEY])) if is_component else kind
        rest = {k: v for k, v in value.items() if not (is_component and k == _NAME_KEY)}
        return from_dict(cls, rest, where=f"{where}.")
    inner = next((a for a in typing.get_args(kind) if a is not type(None)), kind)
    if isinstance(inner, type) and issubclass(inner, str | Path) and isinstance(value, str):
        return inner(value)
    if not fits(value, kind):
        raise ConfigError(f"setting '{where}' is {shown(value)}, not {type_name(kind)}")
    is_tuple = any(typing.get_origin(one) is tuple for one in (kind, *typing.get_args(kind)))
    return tuple(value) if isinstance(value, list) and is_tuple else value


def _meant(config: Any, error: _UnknownKeyError, path: str, text: str, *, where: str) -> str:
    """The message for an unknown dotted key: its name may be known, but elsewhere."""
    other = getattr(config, "OTHER_NAMES", {}).get(error.key)
    if other is not None:
        setting = other.replace("{}", text) if "{}" in other else f"{other}={text}"
        return f"unknown setting '{path}'; write {setting}"
    by_name: dict[str, list[str]] = {}
    for known in _paths(config, where):
        by_name.setdefault(known.rpartition(".")[2], []).append(known)
    found = by_name.get(error.key, [])
    if not found and not error.closest:
        near = difflib.get_close_matches(error.key, by_name, n=1)
        found = [known for name in near for known in by_name[name]]
    if found:
        return f"unknown setting '{path}'; did you mean {' or '.join(map(repr, found))}?"
    return str(error)


def _paths(config: Any, prefix: str = "") -> Iterator[str]:
    """Dotted keys of all fields."""
    for entry in _fields(config):
        value = getattr(config, entry.name)
        yield f"{prefix}{entry.name}"
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from _paths(value, f"{prefix}{entry.name}.")


def _unknown(where: str, key: str, known: Iterable[str]) -> str:
    known = list(known)
    close = _closest(key, known)
    hint = f"did you mean '{close}'?" if close else f"known: {', '.join(known)}"
    return f"unknown setting '{where}'; {hint}"


def _closest(key: str, known: list[str]) -> str | None:
    return next(iter(difflib.get_close_matches(key, known, n=1, cutoff=0.5)), None)
