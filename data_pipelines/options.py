"""Fields of dataclasses that are also options of the command line, said where they are declared.

A settings class needs none of this to become options: name, type, default and docstring suffice.
``option`` adds what a plain field cannot say.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, field
from typing import Any


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
    """
    told: Mapping[str, Any] = {
        "help": text,
        "choices": tuple(choices),
        "metavar": metavar,
        "flag": flag,
        "positional": positional,
        "repeated": repeated,
        "reader": reader,
    }
    return field(default=default, metadata=told)
