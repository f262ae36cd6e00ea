"""Whether values that came out of a file are of the types that their fields declare."""

import dataclasses
import functools
import math
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeGuard, Union


def check_fields(value: Any, *, allows_nan: bool = False) -> None:
    """Look at every field of a dataclass, and at those of dataclasses inside it.

    Args:
        allows_nan: whether NaN counts as a float.
    Raises:
        ValueError: the first one whose value is of another type, or no number (NaN).
    """
    hints = _hints(type(value))
    for field in dataclasses.fields(value):
        held = getattr(value, field.name)
        if not fits(held, hints[field.name], allows_nan=allows_nan):
            raise ValueError(f"{field.name} is {shown(held)}, not {type_name(hints[field.name])}")


def fits(value: Any, kind: Any, *, allows_nan: bool = False) -> bool:
    """Whether a value is of an annotated type; what cannot be told counts as fitting.

    True and False are no numbers, whole numbers are floats too, NaN is one where it is allowed.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return any(fits(value, one, allows_nan=allows_nan) for one in arguments)
    if kind is None or kind is type(None):
        return value is None
    if origin is Literal:
        return any(value == one and type(value) is type(one) for one in arguments)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        check_fields(value, allows_nan=allows_nan)
        return not isinstance(kind, type) or isinstance(value, kind)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            return False
        return all(fits(one, arguments[1], allows_nan=allows_nan) for one in value.values())
    if isinstance(origin, type) and issubclass(origin, Sequence):
        if not isinstance(value, list | tuple):
            return False
        return all(fits(one, arguments[0], allows_nan=allows_nan) for one in value)
    if allows_nan and kind is float and isinstance(value, float):
        return True
    return _fits_plainly(value, kind) if isinstance(kind, type) else True


def is_finite_number(value: object) -> TypeGuard[int | float]:
    """Whether a value of a JSON is a number that a float holds.

    JSON has whole numbers of any length; ``float`` and ``math.isfinite`` raise OverflowError on
    those beyond 1.8e308. NaN is below nothing.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


def type_name(kind: Any) -> str:
    """An annotated type for people."""
    return kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind)


def shown(value: Any) -> str:
    """A wrong value, not in its whole length."""
    if isinstance(value, list | tuple | dict):
        return f"a {type(value).__name__} of {len(value):,}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**20:
        return "a number of more than 20 digits"
    told = repr(value)
    return told if len(told) <= 60 else f"{told[:60]}..."


def _fits_plainly(value: Any, kind: type) -> bool:
    if kind is float:
        return _is_number(value, int | float)
    if kind is int:
        return _is_number(value, int)
    if kind in (str, bool):
        return isinstance(value, kind)
    if issubclass(kind, Path):
        return isinstance(value, str | Path)
    return True


def _is_number(value: Any, kind: Any) -> bool:
    if not isinstance(value, kind) or isinstance(value, bool):
        return False
    return not (isinstance(value, float) and math.isnan(value))


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)
