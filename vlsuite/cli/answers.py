"""What a command answers programs with: values that it tells besides its text.

``vlsuite COMMAND ... --json`` prints them as one JSON object, and no text; a command that tells
nothing answers with its text under "text".
"""

import dataclasses
import io
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from pathlib import PurePath
from typing import Any

from data_pipelines.printable import json_text

_answer: ContextVar[dict[str, Any] | None] = ContextVar("answer", default=None)


def is_asked() -> bool:
    """Whether an answer is printed by this process: what is costly to tell depends on it."""
    return _answer.get() is not None and _is_first()


def tell(**values: Any) -> None:
    """Add to the answer of the command that runs; without ``--json`` nothing happens.

    Args:
        values: by name; dataclasses, named tuples, paths, arrays and their like are told as JSON
            has them, numbers that are none (NaN) as null.
    """
    answer = _answer.get()
    if answer is not None:
        answer.update({name: plain(value) for name, value in values.items()})


@contextmanager
def answered_in_json() -> Iterator[None]:
    """Print what is told in the block as JSON when it ends well; its text is left out.

    Of several processes of one command the first prints.
    """
    answer: dict[str, Any] = {}
    token = _answer.set(answer)
    text = io.StringIO()
    try:
        with redirect_stdout(text):
            yield
    finally:
        _answer.reset(token)
    if _is_first():
        shown = answer or {"text": text.getvalue().rstrip("\n")}
        print(json_text(json.dumps(shown, indent=2, ensure_ascii=False, allow_nan=False)))


def _key(key: Any) -> str:
    return " / ".join(map(str, key)) if isinstance(key, tuple) else str(key)


def _is_first() -> bool:
    return os.environ.get("RANK", "0") == "0"


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if not isinstance(value, type) and dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return _plain_other(value)


def _plain_other(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_key(key): plain(one) for key, one in value.items()}
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "tolist"):  # numbers and arrays of numpy and torch
        return plain(value.tolist())
    return str(value)
