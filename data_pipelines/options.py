"""Fields of dataclasses that are also options of the command line, said where they are declared.

A settings class needs none of this to become options: name, type, default and docstring suffice.
``option`` adds what a plain field cannot say.

A spelling that is given up stays with the field that took its place, ``option(formerly="--root")``,
and goes on being understood, on the command line and from Python alike (``renewed``).
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, field, fields
from typing import Any

from data_pipelines.errors import ConfigError


def option(
    text: str = "",
    *,
    default: Any = MISSING,
    choices: Sequence[str] = (),
    metavar: str | None = None,
    flag: str | None = None,
    positional: bool = False,
    repeated: bool = False,
    reader: Callable[[str], Any] | None = None,
    formerly: str | Mapping[str, Mapping[str, Any]] = "",
) -> Any:
    """A field that says how it looks on the command line (``vlsuite.cli.options`` reads it).

    Args:
        text: what it means, for ``--help``; where absent, the docstring of the class tells it.
        default: required where absent.
        choices: the allowed values, where few and not known to the type.
        metavar: what stands for the value in ``--help``.
        flag: in place of ``--name-of-the-field``.
        positional: given without a flag.
        repeated: of a tuple, one value each time the flag is given, instead of commas.
        reader: turns the text into the value; raises ``argparse.ArgumentTypeError`` or
            ``ValueError``.
        formerly: another flag that it had, which help does not show; or several, each with what
            it says of other fields besides.
    """
    told: Mapping[str, Any] = {
        "help": text,
        "choices": tuple(choices),
        "metavar": metavar,
        "flag": flag,
        "positional": positional,
        "repeated": repeated,
        "reader": reader,
        "formerly": ({formerly: {}} if formerly else {}) if isinstance(formerly, str) else formerly,
    }
    return field(default=default, metadata=told)


def flag_of(entry: Field) -> str:
    """How a field is called on the command line."""
    return entry.metadata.get("flag") or f"--{entry.name.rstrip('_').replace('_', '-')}"


def shown(entry: Field) -> str:
    """How a field is called in messages: its flag, or what stands for a word without one."""
    if entry.metadata.get("positional"):
        return entry.metadata.get("metavar") or entry.name
    return flag_of(entry)


def former_flags(cls: type) -> Mapping[str, Sequence[Field]]:
    """Flags that fields of a dataclass had, and which fields those were."""
    found: dict[str, list[Field]] = defaultdict(list)
    for entry in fields(cls):
        for flag in entry.metadata.get("formerly", ()):
            found[flag].append(entry)
    return dict(found)


def renewed(cls: type, given: Mapping[str, Any], former: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by their names of today, of which some were given by flags that they had.

    A flag that several fields had speaks of the first of them that nothing else gives.

    Args:
        cls: the dataclass of the settings.
        given: values by the names of fields; only what was given.
        former: values by ``former_flags``.
    Raises:
        ConfigError: a setting is given twice, with different values.
    """
    found, meant = dict(given), former_flags(cls)
    names = {entry.name: shown(entry) for entry in fields(cls)}
    for flag in sorted(former, key=lambda flag: len(meant[flag])):
        free = (entry for entry in meant[flag] if entry.name not in found)
        entry = next(free, meant[flag][-1])
        said = {entry.name: former[flag], **entry.metadata["formerly"][flag]}
        for name, value in said.items():
            if found.get(name, value) != value:
                raise ConfigError(
                    f"{flag} is a former spelling of {names[name]}, which is given too; drop {flag}"
                )
        found |= said
    return found
