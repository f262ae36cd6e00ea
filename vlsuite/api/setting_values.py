"""Settings changed from Python: values of the right type, or text as on the command line."""

import dataclasses
import difflib
import os
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from data_pipelines.settings import apply_overrides, parse_value, to_dict
from vlsuite.errors import ConfigError

C = TypeVar("C")

#: Chooses a component by name in a group of settings, as config.json has it.
KIND = "kind"


def apply_values(config: C, values: Mapping[str, Any]) -> C:
    """A copy of a config with some settings changed.

    Args:
        config: nested frozen dataclasses.
        values: by dotted key ("optim.lr"), or by group ({"optim": {"lr": 1e-3}}). Text is read as
            behind ``--set``; everything else must be of the type of the setting.
    Raises:
        ConfigError: an unknown setting (the message has the closest one), or a value of a wrong
            type.
    """
    for key, value in _flat(values):
        _refuse_inner(config, key)
        if isinstance(value, str):
            config = apply_overrides(config, [f"{key}={value}"])
        else:
            config = _replaced(config, key.split("."), value, where=key)
    return config


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and single values; the kind of a component comes before its own settings."""
    for key in sorted(values, key=lambda key: key != KIND):
        value = values[key]
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif key == KIND and prefix:
            yield prefix.removesuffix("."), value
        else:
            yield prefix + key, value


def _refuse_inner(config: Any, key: str) -> None:
    """A setting called without its group is not known, but meant."""
    outer = {field.name for field in dataclasses.fields(config)}
    inner = [name for name in _names(to_dict(config)) if name.endswith(f".{key}")]
    if key not in outer and inner:
        group, _, rest = inner[0].partition(".")
        raise ConfigError(
            f"unknown setting '{key}'; did you mean '{inner[0]}'? Write {group}={{'{rest}': ...}}"
        )


def _names(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in settings.items():
        yield prefix + name
        if isinstance(value, Mapping):
            yield from _names(value, f"{prefix}{name}.")


def _replaced(config: Any, keys: list[str], value: Any, *, where: str) -> Any:
    fields = {field.name: field for field in dataclasses.fields(config) if field.init}
    if keys[0] not in fields:
        apply_overrides(config, [f"{'.'.join(keys)}={value}"])  # says which setting was meant
    current = getattr(config, keys[0])
    if len(keys) > 1 and not dataclasses.is_dataclass(current):
        raise ConfigError(f"{where}: '{keys[0]}' is a single value, it has no sub-keys")
    if len(keys) > 1:
        new = _replaced(current, keys[1:], value, where=where)
    elif registry := fields[keys[0]].metadata.get("registry"):
        registry.name_of(type(value))  # refuses what no run could be resumed with
        new = value
    else:
        new = converted(value, typing.get_type_hints(type(config))[keys[0]], where=where)
    return dataclasses.replace(config, **{keys[0]: new})


def converted(value: Any, kind: Any, *, where: str) -> Any:
    """A Python value as one of the annotated type ``kind``: lists as tuples, paths as text.

    Raises:
        ConfigError: it is of another type.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        inner = next(a for a in arguments if a is not type(None))
        return converted(value, inner, where=where)
    if origin is tuple:
        is_several = isinstance(value, Sequence) and not isinstance(value, str)
        parts = value if is_several else [value]
        return tuple(converted(part, arguments[0], where=where) for part in parts)
    if origin is Literal and value in arguments:
        return value
    if isinstance(value, os.PathLike) and kind is str:
        return os.fspath(value)
    if isinstance(value, str):
        return Path(value) if kind is Path else parse_value(value, kind, where=where)
    is_truth = isinstance(value, bool)
    if kind is float and isinstance(value, Real) and not is_truth:
        return float(value)
    if kind is int and isinstance(value, Integral) and not is_truth:
        return int(value)
    if isinstance(kind, type) and isinstance(value, kind) and (kind is bool or not is_truth):
        return value
    wanted = getattr(kind, "__name__", str(kind))
    raise ConfigError(f"{where}={value!r}: expected {wanted}, got {type(value).__name__}")


def refuse_unknown(given: Iterable[str], known: Sequence[str], *, what: str) -> None:
    """Refuse a key that is not known, with the closest one that is.

    Raises:
        ConfigError: there is one.
    """
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
            raise ConfigError(f"unknown {what} '{key}'; {hint}")
