"""Figures that XMAI's notebooks printed, and whether they follow from one another.

Of a classification report the F1, its mean and the accuracy follow from precision, recall and
support; all are printed with three digits, so 0.001 is allowed. Of a retrieval run the fall in MRR
follows from both means. The predictions themselves are not stored.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_pipelines.bounded_json import read_json
from eval.errors import EvaluationError
from eval.metrics.labelling import accuracy_from_recalls, f1_of

TOLERANCE = 1e-3

_CLASS = re.compile(r"^ *([a-z_]+) +(\d\.\d+) +(\d\.\d+) +(\d\.\d+) +(\d+)$", re.MULTILINE)
_ACCURACY = re.compile(r"^ *accuracy +(\d\.\d+) +\d+$", re.MULTILINE)
_MACRO = re.compile(r"^ *macro avg +\d\.\d+ +\d\.\d+ +(\d\.\d+) +\d+$", re.MULTILINE)
_MRR = re.compile(r"(Original|Modified) Caption MRRs - Mean: (\d\.\d+), Std: (\d\.\d+)")


class Report(NamedTuple):
    """One printed classification report beside what follows from its precision and recall."""

    where: str
    classes: tuple[str, ...]
    printed: dict[str, float]
    computed: dict[str, float]

    @property
    def largest_difference(self) -> float:
        """Between a printed figure and ours."""
        return max(abs(self.printed[name] - value) for name, value in self.computed.items())


class RetrievalRun(NamedTuple):
    """Printed MRR before and after: means and deviations over galleries."""

    where: str
    before: tuple[float, float]
    after: tuple[float, float]

    @property
    def change(self) -> float:
        """Relative, negative where MRR fell."""
        return self.after[0] / self.before[0] - 1


class Printed(NamedTuple):
    """What was found in the notebooks of a folder."""

    reports: list[Report]
    runs: list[RetrievalRun]


def read_notebooks(folder: Path) -> Printed:
    """Every report and run printed in the notebooks below a folder; one notebook may be given.

    Raises:
        EvaluationError: a notebook cannot be read.
    """
    found = Printed([], [])
    paths = [folder] if folder.is_file() else sorted(folder.rglob("*.ipynb"))
    for path in (p for p in paths if p.suffix == ".ipynb"):
        for text in _outputs(path):
            where = f"{path.stem} {len(found.reports) + 1}"
            found.reports.extend(reports_in(text, where=where))
            means = {kind: (float(m), float(s)) for kind, m, s in _MRR.findall(text)}
            if len(means) == 2:
                found.runs.append(RetrievalRun(path.stem, means["Original"], means["Modified"]))
    return found


def reports_in(text: str, *, where: str) -> list[Report]:
    """Classification reports as scikit-learn prints them."""
    parts = re.split(r"precision +recall +f1-score +support", text)[1:]
    return [report for part in parts if (report := _report(part, where)) is not None]


def _report(text: str, where: str) -> Report | None:
    rows = _CLASS.findall(text)
    accuracy, macro = _ACCURACY.search(text), _MACRO.search(text)
    if not rows or accuracy is None or macro is None:
        return None
    names = tuple(row[0] for row in rows)
    precision, recall, f1, support = np.array([row[1:] for row in rows], dtype=np.float64).T
    own = f1_of(precision, recall)
    printed = {f"f1_{name}": float(value) for name, value in zip(names, f1, strict=True)}
    computed = {f"f1_{name}": float(value) for name, value in zip(names, own, strict=True)}
    printed |= {"macro_f1": float(macro[1]), "accuracy": float(accuracy[1])}
    computed |= {
        "macro_f1": float(own.mean()),
        "accuracy": accuracy_from_recalls(recall, support),
    }
    return Report(where, names, printed, computed)


def _outputs(path: Path) -> list[str]:
    try:
        cells = read_json(path)["cells"]
        return [
            "".join(output.get("text") or output.get("data", {}).get("text/plain") or ())
            for cell in cells
            for output in cell.get("outputs", ())
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvaluationError(f"cannot read {path} as a notebook: {error!r}") from error
