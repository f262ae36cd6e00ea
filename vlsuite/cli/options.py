"""Options of a command from the fields of a dataclass, and the dataclass from the options.

A field ``max_boxes: int = 50`` is ``--max-boxes``. Its type says how the text is read, its default
stands in the class alone, and what it means is told by its entry in the docstring of the class, or
by ``data_pipelines.options.option`` where a flag needs more than that.
"""

import argparse
import inspect
import re
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from data_pipelines.options import flag_of, former_flags, renewed, shown
from data_pipelines.settings import parts_of
from vlsuite.errors import ConfigError

C = TypeVar("C")

#: What options are added to: a parser or a group of one.
Options = argparse._ActionsContainer

_SECTION = re.compile(r"^(?:Args|Attributes):$")
_ENTRY = re.compile(r"^ {4}(\w+(?:, ?\w+)*): *(.*)$")


def add_options(
    to: Options,
    cls: type,
    *,
    only: Collection[str] | None = None,
    leave_out: Collection[str] = (),
    required: Collection[str] = (),
) -> None:
    """Add an option for each field of the dataclass ``cls``, in the order of the fields.

    Args:
        to: parser, group, or group of options that exclude each other.
        cls: str, int, float, Path, Literal, tuples of them (separated by commas, or repeated where
            the field says so), each ``| None`` or not, and bool: ``--name``, and ``--no-name`` too
            unless the default is False.
        only: names of the fields to add; None: all.
        leave_out: names of fields that get no option.
        required: names of fields that must be given though the class has a default.
    Raises:
        TypeError: a field of another type, without a ``reader`` of its own.
    """
    kinds, told = typing.get_type_hints(cls), described(cls)
    for entry in _chosen(cls, only, leave_out):
        flags, settings = _declared(entry, kinds[entry.name], told.get(entry.name, ""))
        if entry.name in required:
            settings |= {"required": True, "default": None}
        action = to.add_argument(*flags, **settings)
        if entry.metadata.get("positional") and entry.metadata.get("formerly"):
            # a flag may stand for it: who reads the options sees whether it is there
            action.required = False
    _add_former(to, cls, [*_chosen(cls, only, leave_out)])


def _add_former(to: Options, cls: type, chosen: Collection[Field]) -> None:
    """The flags that fields had, unseen; what they say stands in ``args`` under the flag itself."""
    kinds = typing.get_type_hints(cls)
    for flag, meant in former_flags(cls).items():
        if entry := next((one for one in meant if one in chosen), None):
            reading = _reading(entry, kinds[entry.name], has_default=True, is_positional=False)
            reading |= {"dest": flag, "default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
            to.add_argument(flag, **reading)


def read_options(args: argparse.Namespace, cls: type[C], **known: Any) -> C:
    """The dataclass, made from the options that ``args`` has of it; its defaults fill the rest.

    Args:
        args: of a parser with the options of ``cls``, and others.
        cls: the dataclass.
        known: fields whose value comes from elsewhere, whatever ``args`` says.
    Raises:
        ConfigError: one is missing, or given twice.
        UserError: what ``__post_init__`` refuses.
    """
    elsewhere = {e.name: _as_field(known[e.name]) for e in _fields(cls) if e.name in known}
    told = given_options(args, cls) | elsewhere
    if missing := missing_options(told, cls):
        raise ConfigError(f"missing: {', '.join(missing)}")
    return cls(**told)


def given_options(args: argparse.Namespace, cls: type) -> dict[str, Any]:
    """Values of the fields of ``cls`` that ``args`` has, under their names of today.

    Raises:
        ConfigError: one is given twice, by its flag and by one that it had.
    """
    told = vars(args)
    found = {e.name: _as_field(told[e.name]) for e in _fields(cls) if e.name in told}
    former = {flag: _as_field(told[flag]) for flag in former_flags(cls) if flag in told}
    if not former:
        return found
    defaults = {entry.name: _default(entry) for entry in _fields(cls)}
    given = {name: value for name, value in found.items() if value != defaults[name]}
    return found | renewed(cls, given, former)


def missing_options(told: Mapping[str, Any], cls: type) -> list[str]:
    """How the fields are called that a former flag could have given, and nothing did."""
    needed = [one for one in _fields(cls) if one.metadata.get("formerly")]
    return [shown(one) for one in needed if _default(one) is MISSING and one.name not in told]


def positive(text: str) -> int:
    """A whole number of 1 or more, 1e9 too.

    Raises:
        argparse.ArgumentTypeError: it is less, or no whole number.
    """
    number = float(text)
    if number < 1 or not number.is_integer():
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return int(number)


def described(cls: type) -> dict[str, str]:
    """What the docstrings of a class and of its bases say about each field, each in one line."""
    found: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        found |= _entries(inspect.cleandoc(owner.__doc__ or ""))
    return found


def _entries(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    names, is_inside = [], False
    for line in text.splitlines():
        if line and not line.startswith(" "):
            is_inside, names = bool(_SECTION.match(line)), []
        elif is_inside and (entry := _ENTRY.match(line)):
            names = re.split(", ?", entry[1])
            found |= dict.fromkeys(names, entry[2])
        else:
            for name in names:
                found[name] = f"{found[name]} {line.strip()}".strip()
    return {name: _plain(told) for name, told in found.items()}


def _plain(told: str) -> str:
    """Without marks of code and the last full stop."""
    text = told.replace("``", "")
    return text if text.endswith("..") else text.removesuffix(".")


def _fields(cls: type) -> Iterator[Field]:
    return (entry for entry in fields(cls) if entry.init)


def _chosen(cls: type, only: Collection[str] | None, leave_out: Collection[str]) -> Iterator[Field]:
    known = {entry.name for entry in _fields(cls)}
    assert known.issuperset([*(only or ()), *leave_out]), f"{cls.__name__} has {sorted(known)}"
    for entry in _fields(cls):
        if entry.name not in leave_out and (only is None or entry.name in only):
            yield entry


def _declared(entry: Field, kind: Any, told: str) -> tuple[list[str], dict[str, Any]]:
    """Flags and settings of one field, as ``add_argument`` takes them."""
    own = entry.metadata
    default = _default(entry)
    settings: dict[str, Any] = {"help": _help(own.get("help") or told, default)}
    if own.get("metavar"):
        settings["metavar"] = own["metavar"]
    is_positional = own.get("positional", False)
    if not is_positional:
        settings |= {"dest": entry.name, "required": default is MISSING}
    settings |= _reading(
        entry, kind, has_default=default is not MISSING, is_positional=is_positional
    )
    if default is not MISSING:
        is_list = isinstance(default, tuple) and _is_listed(settings)
        settings["default"] = list(default) if is_list else default
    elif own.get("formerly"):
        settings |= {"default": argparse.SUPPRESS} | ({} if is_positional else {"required": False})
    return [entry.name if is_positional else flag_of(entry)], settings


def _default(entry: Field) -> Any:
    if entry.default_factory is not MISSING:
        return entry.default_factory()
    return entry.default


def _is_listed(settings: dict[str, Any]) -> bool:
    """Whether argparse collects values in a list, which it would append to a default."""
    return settings.get("action") == "append" or settings.get("nargs") in ("*", "+")


def _help(text: str, default: Any) -> str:
    is_said = "default:" in text or default is MISSING or default in (None, "", ())
    if isinstance(default, bool) or is_said:
        return text.replace("%", "%%")
    return f"{text} (default: {_shown(default)})".replace("%", "%%").strip()


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_shown, value))
    if isinstance(value, float):
        return f"{value:g}"
    return repr(value) if isinstance(value, str) and value != value.strip() else str(value)


def _reading(entry: Field, kind: Any, *, has_default: bool, is_positional: bool) -> dict[str, Any]:
    """Action, number and type of the words that an option takes."""
    own, kind = entry.metadata, _without_none(kind)
    if own.get("reader"):
        settings: dict[str, Any] = {"type": own["reader"]}
        kind = kind if own.get("repeated") or is_positional else str
    elif kind is bool:
        is_flag = entry.default is False
        return {"action": "store_true" if is_flag else argparse.BooleanOptionalAction}
    else:
        settings = {}
    parts = typing.get_args(kind)
    if typing.get_origin(kind) is not tuple:
        settings = _single(entry, kind) | settings
        return settings | ({"nargs": "?"} if is_positional and has_default else {})
    if is_positional:
        return _single(entry, parts[0]) | settings | {"nargs": "*" if has_default else "+"}
    if own.get("repeated"):
        return _single(entry, parts[0]) | settings | {"action": "append"}
    return {"type": _comma_reader(entry, parts)} | settings


def _without_none(kind: Any) -> Any:
    if typing.get_origin(kind) not in (Union, types.UnionType):
        return kind
    named = [part for part in typing.get_args(kind) if part is not type(None)]
    return named[0] if len(named) == 1 else kind


def _single(entry: Field, kind: Any) -> dict[str, Any]:
    """Type and choices of one value."""
    choices = entry.metadata.get("choices") or None
    if typing.get_origin(kind) is Literal:
        choices = choices or typing.get_args(kind)
        return {"type": type(choices[0]), "choices": choices}
    if not isinstance(kind, type) or not issubclass(kind, str | int | float | Path):
        raise TypeError(f"field '{entry.name}' of type {kind} needs a reader: option(reader=...)")
    return {"type": kind, "choices": choices}


def _comma_reader(entry: Field, kinds: tuple[Any, ...]) -> Callable[[str], tuple]:
    """What reads a tuple from text with commas."""
    count = None if kinds[-1] is Ellipsis else len(kinds)
    single = _single(entry, kinds[0])

    def read(text: str) -> tuple:
        parts = [part.strip() for part in parts_of(text) if part.strip()]
        if count is not None and len(parts) != count:
            raise argparse.ArgumentTypeError(f"'{text}' has not {count} values with commas between")
        return tuple(map(one, parts))

    def one(part: str) -> Any:
        try:
            value = single["type"](part)
        except ValueError as error:
            raise argparse.ArgumentTypeError(
                f"invalid {single['type'].__name__} value: '{part}'"
            ) from error
        if single["choices"] and value not in single["choices"]:
            raise argparse.ArgumentTypeError(
                f"invalid choice: '{part}' (choose from {', '.join(map(str, single['choices']))})"
            )
        return value

    return read


def _as_field(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
