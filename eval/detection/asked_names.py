"""What a user wants found, as a checked list of names."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from data_pipelines.bounded_files import bounded_bytes
from eval.errors import EvaluationError

_MOST_BYTES = 64 << 20


def asked_names(words: Sequence[str], examples: Iterable[str]) -> tuple[str, ...]:
    """Words, then names that pictures stand for.

    Raises:
        EvaluationError: there is none, one is empty, or one is there twice.
    """
    names = tuple(" ".join(name.split()) for name in (*words, *examples))
    if not names:
        raise EvaluationError(
            'nothing to look for; give names ("a red car" "a dog"), a file of names, or pictures'
        )
    if "" in names:
        raise EvaluationError(
            f"name {names.index('') + 1} of {len(names)} is empty; leave it out or fill it in"
        )
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise EvaluationError(
            f"'{name}' is asked for {count} times; name each thing once, by words or by pictures"
        )
    return names


def names_of_file(path: Path) -> tuple[str, ...]:
    """Names in a text file, one a line; empty lines are passed over.

    Raises:
        EvaluationError: it cannot be read, is no text, or has no name.
    """
    try:
        text = bounded_bytes(path, most_bytes=_MOST_BYTES).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise EvaluationError(
            f"cannot read names from {path}: {reason}; give a text file, one name a line"
        ) from error
    names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not names:
        raise EvaluationError(f"{path} has no name in it; write one a line")
    return names


def names_of_model(model: Any) -> tuple[str, ...]:
    """The names that a detector was trained on.

    Raises:
        EvaluationError: it does not tell them.
    """
    from eval.contract import KnowsNames

    if not isinstance(model, KnowsNames):
        raise EvaluationError(f"model {model.name} tells no names of its own; give names")
    return tuple(model.own_names)


def examples_of(given: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    """Files by name, from texts PICTURE=NAME or PICTURE, whose name is the file's.

    Raises:
        EvaluationError: a picture does not exist, or has an empty name.
    """
    found: dict[str, list[Path]] = {}
    for text in given:
        place, equals, name = text.rpartition("=")
        if not equals or Path(text).is_file():
            place, name = text, Path(text).stem.replace("_", " ")
        if not Path(place).is_file():
            raise EvaluationError(f"picture {place} of '{text}' does not exist; write PICTURE=NAME")
        if not name.strip():
            raise EvaluationError(f"'{text}' has an empty name; write PICTURE=NAME")
        found.setdefault(" ".join(name.split()), []).append(Path(place))
    return {name: tuple(paths) for name, paths in found.items()}
