"""The files that XMAI's authors stored: perturbed captions as CSV.

SNLI-VE: columns label, original (the premise, a caption), hypothesis, modified. COCO: image_id,
original, modified. Both from github.com/claws-lab/multimodal-robustness-xmai, whose image_id cells
hold a printed pandas Series: the row index, the id, and a type below. A companion form with one
column a method (xmai, clare, eda, deletion, checklist) is read as well.
"""

import csv
import re
from pathlib import Path
from typing import NamedTuple

from eval.errors import EvaluationError

_METHODS = ("xmai", "clare", "eda", "deletion", "checklist")

_OF_FILE = {"clare": "clare", "eda": "eda", "del": "deletion", "check": "checklist"}

_SERIES = re.compile(r"\s*\d+\s+(\d+)\s")


class UpstreamRow(NamedTuple):
    """One text before and after.

    Attributes:
        original: the text that was perturbed (a hypothesis, or a caption).
        perturbed: what became of it.
        label: of an entailment row, else None.
        premise: the caption a hypothesis was written for, else None.
        image_id: of a COCO row, else None.
    """

    original: str
    perturbed: str
    label: str | None = None
    premise: str | None = None
    image_id: int | None = None


class UpstreamFile(NamedTuple):
    """All rows of one method on one data set ("snli_ve" or "coco")."""

    data: str
    method: str
    path: Path
    rows: tuple[UpstreamRow, ...]


def read_upstream(path: Path) -> list[UpstreamFile]:
    """The method of a stored file, or each method of a companion file.

    Raises:
        EvaluationError: unreadable, empty, or without the columns.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError(f"cannot read {path} as CSV: {error}") from error
    if not table:
        raise EvaluationError(f"{path} has no rows")
    columns = table[0].keys()
    data = "snli_ve" if "hypothesis" in columns else "coco"
    text = "hypothesis" if data == "snli_ve" else "original"
    methods = {name: name for name in _METHODS if name in columns}
    if "modified" in columns:
        methods = {"modified": _method_of(path)}
    if text not in columns or not methods:
        raise EvaluationError(
            f"{path} has columns {', '.join(map(str, columns))}; needed are {text} and modified, "
            f"or one of {', '.join(_METHODS)}"
        )
    return [
        UpstreamFile(data, name, path, tuple(_row(path, row, text, column) for row in table))
        for column, name in methods.items()
    ]


def find_upstream(folder: Path) -> list[UpstreamFile]:
    """Every stored file below a folder, in order of their paths; one file may be given instead.

    Raises:
        EvaluationError: there is none, or one cannot be read.
    """
    paths = [folder] if folder.is_file() else sorted(folder.rglob("*.csv"))
    paths = [p for p in paths if p.stat().st_size and _is_result(p)]
    if not paths:
        raise EvaluationError(
            f"no stored perturbations in {folder}; give a copy of the authors' "
            "paper_experiments/modified_captions, or one CSV of it"
        )
    return [file for path in paths for file in read_upstream(path)]


def _is_result(path: Path) -> bool:
    """Whether a CSV has the columns of results; others (detections, audits) are passed over."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        columns = set(file.readline().strip().split(","))
    is_audit = "mask_left" in columns
    return not is_audit and bool(columns & {"modified", *_METHODS})


def _method_of(path: Path) -> str:
    if path.parent.name == "XMAI":
        return "xmai"
    parts = re.split(r"[_.]", path.name)
    return next((_OF_FILE[part] for part in parts if part in _OF_FILE), "xmai")


def _row(path: Path, row: dict[str, str], text: str, column: str) -> UpstreamRow:
    if row.get(text) is None or row.get(column) is None:
        raise EvaluationError(f"{path} has a row without {text} or {column}: {row!r:.120}")
    is_pair = text == "hypothesis"
    return UpstreamRow(
        original=row[text],
        perturbed=row[column],
        label=row.get("label") if is_pair else None,
        premise=row.get("premise" if "premise" in row else "original") if is_pair else None,
        image_id=_image_id(row.get("image_id")),
    )


def _image_id(cell: str | None) -> int | None:
    if not cell:
        return None
    if cell.strip().isdigit():
        return int(cell)
    match = _SERIES.match(cell)
    return int(match.group(1)) if match else None
