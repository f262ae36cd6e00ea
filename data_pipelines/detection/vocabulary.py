"""The names that a detection set is annotated with, and which of them count as novel.

A row of the vocabulary is what labels number; the ids of the file that was read are kept beside.
It is stored as ``categories.json`` beside the shards, and its digest in their manifest.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from data_pipelines.bounded_json import read_object
from data_pipelines.errors import DataError
from data_pipelines.schema import JsonValue

#: Name of the stored vocabulary, beside the shards.
VOCABULARY_NAME = "categories.json"

#: Groups of an open-vocabulary split: names that are trained on, and names that are not.
BASE, NOVEL = "base", "novel"
GROUPS = (BASE, NOVEL)

#: LVIS's frequencies: rare (up to 10 training pictures), common (up to 100), frequent.
FREQUENCIES = ("r", "c", "f")

_FORMAT = 1


class Category(NamedTuple):
    """One name.

    Attributes:
        name: as the source writes it ("bow_(weapon)"); unique in its vocabulary.
        source_id: the category id in the file it came from.
        group: "base" or "novel"; None where the set has no such split.
        frequency: "r", "c" or "f" in LVIS, else None.
        synonyms: other names for the same thing; the name itself is left out.
        parent: the wider category (COCO's "supercategory"), "" where there is none.
    """

    name: str
    source_id: int
    group: str | None = None
    frequency: str | None = None
    synonyms: tuple[str, ...] = ()
    parent: str = ""

    @property
    def text(self) -> str:
        """The name as words, for prompts: LVIS writes "bow_(weapon)", a sentence "bow (weapon)"."""
        return as_words(self.name)

    @property
    def texts(self) -> tuple[str, ...]:
        """The name and its synonyms as words, each once."""
        return tuple(dict.fromkeys(map(as_words, (self.name, *self.synonyms))))


@dataclass(frozen=True, slots=False)
class Vocabulary:
    """Names in order; a label is a row of it.

    Args:
        categories: with unique names and unique ids.

    Raises:
        DataError: it is empty, or a name or an id occurs twice.
    """

    categories: tuple[Category, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.categories:
            raise DataError("the vocabulary is empty; a detection set needs one category at least")
        _check_once("name", [category.name for category in self.categories])
        _check_once("id", [category.source_id for category in self.categories])

    def __len__(self) -> int:
        return len(self.categories)

    @property
    def names(self) -> tuple[str, ...]:
        """Names as the source writes them."""
        return tuple(category.name for category in self.categories)

    @property
    def texts(self) -> tuple[str, ...]:
        """Names as words, for prompts."""
        return tuple(category.text for category in self.categories)

    @property
    def source_ids(self) -> tuple[int, ...]:
        """Category ids of the source, by row."""
        return tuple(category.source_id for category in self.categories)

    @cached_property
    def row_of_name(self) -> dict[str, int]:
        """Row of each name."""
        return {name: row for row, name in enumerate(self.names)}

    @cached_property
    def row_of_id(self) -> dict[int, int]:
        """Row of each category id of the source."""
        return {number: row for row, number in enumerate(self.source_ids)}

    def rows_of_group(self, group: str) -> tuple[int, ...]:
        """Rows of "base" or "novel", in order."""
        return self._rows("group", group)

    def rows_of_frequency(self, frequency: str) -> tuple[int, ...]:
        """Rows of LVIS's "r", "c" or "f", in order."""
        return self._rows("frequency", frequency)

    def _rows(self, field_name: str, value: str) -> tuple[int, ...]:
        found = enumerate(self.categories)
        return tuple(row for row, one in found if getattr(one, field_name) == value)

    def with_groups(self, novel: Iterable[str]) -> "Vocabulary":
        """The same with these names "novel" and all others "base".

        Raises:
            DataError: one of them is not in the vocabulary.
        """
        chosen = frozenset(novel)
        if missing := sorted(chosen - set(self.names)):
            raise DataError(
                f"novel name '{missing[0]}' is not in the vocabulary of {len(self)} names; write "
                "it as the annotation file does"
            )
        return Vocabulary(
            tuple(
                category._replace(group=NOVEL if category.name in chosen else BASE)
                for category in self.categories
            )
        )

    def only(self, names: Sequence[str]) -> "Vocabulary":
        """Those of these names, in the order they have here."""
        chosen = frozenset(names)
        return replace(self, categories=tuple(c for c in self.categories if c.name in chosen))

    @property
    def digest(self) -> str:
        """SHA-256 over names, ids, groups, frequencies, synonyms and order, in hexadecimal."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """The content of ``categories.json``: the form of COCO's list "categories"."""
        listed = [_to_json(category) for category in self.categories]
        content = {"format_version": _FORMAT, "categories": listed}
        return (json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read a ``categories.json``, or the folder that holds it.

        Raises:
            DataError: it is missing or broken.
        """
        path = path / VOCABULARY_NAME if path.is_dir() else path
        try:
            content = read_object(path)
        except FileNotFoundError:
            raise DataError(
                f"{path} does not exist; shards of detection have it beside them ('vlsuite data "
                "build detection' writes it), plain pictures a JSON in COCO's form"
            ) from None
        except (OSError, ValueError) as error:
            raise DataError(f"{path} is no readable vocabulary: {error}") from error
        if content.get("format_version") != _FORMAT:
            raise DataError(
                f"{path} has format {str(content.get('format_version'))[:20]}, this version reads "
                f"{_FORMAT}; build the shards again"
            )
        return vocabulary_of(content.get("categories"), where=str(path))


def vocabulary_of(listed: JsonValue, *, where: str) -> Vocabulary:
    """A vocabulary from a list "categories" as COCO, LVIS and our own file have it.

    Of LVIS, "frequency" and "synonyms" are read; of our own file, "group" besides.

    Args:
        where: the file, for messages.
    Raises:
        DataError: it is no such list, or a name or id occurs twice.
    """
    if not isinstance(listed, list) or not listed:
        raise DataError(
            f"{where} has no list 'categories' with an entry; is it the annotation file of a "
            "detection set?"
        )
    try:
        return Vocabulary(tuple(_from_json(entry, where) for entry in listed))
    except DataError as error:
        message = str(error)
        raise DataError(message if where in message else f"{where}: {message}") from None


def as_words(name: str) -> str:
    """A name with spaces for underscores, each space once."""
    return " ".join(name.replace("_", " ").split())


def _to_json(category: Category) -> dict[str, JsonValue]:
    optional: dict[str, JsonValue] = {
        "group": category.group,
        "frequency": category.frequency,
        "synonyms": list(category.synonyms) or None,
        "supercategory": category.parent or None,
    }
    stored: dict[str, JsonValue] = {"id": category.source_id, "name": category.name}
    return stored | {key: value for key, value in optional.items() if value is not None}


def _from_json(entry: Any, where: str) -> Category:
    own: dict[str, Any] = entry if isinstance(entry, dict) else {}
    name, number = own.get("name"), own.get("id")
    if not isinstance(name, str) or not name.strip() or type(number) is not int:
        raise DataError(
            f"{where}: a category lacks a name or a whole number as id: {str(entry)[:80]}"
        )
    group, frequency = own.get("group"), own.get("frequency")
    if group not in (None, *GROUPS) or frequency not in (None, *FREQUENCIES):
        raise DataError(
            f"{where}: category '{name}' has group {group!r} and frequency {frequency!r}; known: "
            f"{', '.join(GROUPS)}, and {', '.join(FREQUENCIES)}"
        )
    listed = own.get("synonyms") if isinstance(own.get("synonyms"), list) else None
    synonyms = [word for word in listed or () if isinstance(word, str)]
    parent = own.get("supercategory")
    return Category(
        name=name,
        source_id=number,
        group=group,
        frequency=frequency,
        synonyms=tuple(word for word in dict.fromkeys(synonyms) if word.strip() and word != name),
        parent=parent if isinstance(parent, str) else "",
    )


def _check_once(what: str, values: Sequence[str | int]) -> None:
    seen: set[str | int] = set()
    for value in values:
        if value in seen:
            raise DataError(f"category {what} '{value}' occurs twice; keep it once")
        seen.add(value)
