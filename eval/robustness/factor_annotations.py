"""What is unusual about each picture: annotations from ImageNet-X's file or from the samples."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from data_pipelines.bounded_json import parsed_json
from data_pipelines.schema import JsonValue
from data_pipelines.text_lines import lines_of
from eval.data.dataset import EvalDataset
from eval.errors import EvaluationError

#: ImageNet-X's list of its 3,000 most typical pictures, which its scores leave out.
PROTOTYPES_FILE = "prototypical_paths.csv"

#: ImageNet-X's list of all 50,000 validation pictures with their classes.
NAMES_FILE = "filename_label.csv"

# Fields of ImageNet-X's lines that are no factors.
_OTHER_FIELDS = frozenset(("file_name", "class", "metaclass", "justification", "one_word"))


class Annotations(NamedTuple):
    """Factors of some pictures.

    Attributes:
        rows: their numbers in the data set, ascending.
        factors: of each, by name.
        source: where they are from, and what was left out.
    """

    rows: Int64[np.ndarray, " annotated"]
    factors: tuple[Mapping[str, JsonValue], ...]
    source: str


def annotations_for(dataset: EvalDataset, factors_file: str) -> Annotations:
    """From a file of JSON lines as ImageNet-X releases it, else from the json members.

    Lines are matched by ``file_name`` with names of files or keys of shards, endings aside.
    CLIP_benchmark's exported ImageNet has numbers for keys, in the order of class and file name:
    there ``filename_label.csv`` beside the lines tells the names, if the classes agree.

    Raises:
        EvaluationError: no annotations, a broken file, or lines that fit none of the pictures.
    """
    if not factors_file:
        return _from_samples(dataset)
    path = Path(factors_file)
    lines = _read_lines(path)
    rows = _matched(dataset, lines, path.parent / NAMES_FILE)
    if rows is None:
        raise EvaluationError(
            f"no file_name of {path} is the name of a picture of {dataset.title}, such as "
            f"{dataset.key(0)}; give annotations of this data set with --factors"
        )
    typical = _prototypes(path.parent / PROTOTYPES_FILE)
    kept = sorted(
        (row, line)
        for row, line in ((row, i) for i, row in enumerate(rows) if row >= 0)
        if lines[line]["file_name"] not in typical
    )
    factors = tuple(
        {name: value for name, value in lines[line].items() if name not in _OTHER_FIELDS}
        for _, line in kept
    )
    left_out = f"without {len(typical):,} prototypes" if typical else "prototypes included"
    numbers = np.array([row for row, _ in kept], dtype=np.int64)
    return Annotations(numbers, factors, f"{path.name}, {left_out}")


def _from_samples(dataset: EvalDataset) -> Annotations:
    if dataset.factors is None:
        raise EvaluationError(
            f"{dataset.title} has no factors: give ImageNet-X's annotations with --factors FILE, "
            'or write {"factors": {"pose": true, ...}} into a '
            f"{dataset.layout.each('json')} for each"
        )
    rows = [row for row, factors in enumerate(dataset.factors) if factors]
    return Annotations(
        np.array(rows, dtype=np.int64), tuple(dataset.factors[row] for row in rows), "json members"
    )


def _read_lines(path: Path) -> list[dict[str, JsonValue]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"cannot read {path}: {error}; check --factors") from error
    lines: list[dict[str, JsonValue]] = []
    for number, line in enumerate(lines_of(text), start=1):
        if not line.strip():
            continue
        try:
            fields = parsed_json(line)
        except (ValueError, RecursionError) as error:
            raise EvaluationError(f"{path}, line {number}, is no JSON: {error}") from error
        if not isinstance(fields, dict) or not isinstance(fields.get("file_name"), str):
            raise EvaluationError(
                f"{path}, line {number}, names no file_name; each line must be an object like "
                '{"file_name": "a.JPEG", "pose": 1}'
            )
        lines.append(fields)
    return lines


def _matched(
    dataset: EvalDataset, lines: list[dict[str, JsonValue]], names_file: Path
) -> list[int] | None:
    """Row of each line, -1 for lines of other pictures; None where no line fits."""
    row_of = {_stem(dataset.key(i)): i for i in range(len(dataset))}
    names = [_stem(str(line["file_name"])) for line in lines]
    if not any(name in row_of for name in names):
        row_of = _exported_order(dataset, names_file)
    rows = [row_of.get(name, -1) for name in names]
    return rows if any(row >= 0 for row in rows) else None


def _exported_order(dataset: EvalDataset, names_file: Path) -> dict[str, int]:
    """Row of each file name if the data set has all pictures of the list in order."""
    if dataset.labels is None:
        return {}
    listed = sorted(
        (int(line["label"]), line["file_name"])
        for line in _read_csv(names_file)
        if (line.get("label") or "").isdigit() and line.get("file_name")
    )
    if [label for label, _ in listed] != dataset.labels.tolist():
        return {}
    return {_stem(name): row for row, (_, name) in enumerate(listed)}


def _prototypes(path: Path) -> frozenset[str]:
    return frozenset(line.get("file_name") or "" for line in _read_csv(path))


def _read_csv(path: Path) -> list[dict[str, str]]:
    """Nothing where the file is not there: both lists are optional."""
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError(f"cannot read {path}: {error}; fetch it again") from error


def _stem(name: str) -> str:
    return name.partition(".")[0]
