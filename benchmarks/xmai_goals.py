"""The goals that attribute insertions are held to, beside the published implementation."""

from collections.abc import Sequence
from typing import NamedTuple

from eval.xmai.grammar import SPECIAL, fused_words
from eval.xmai.people import PERSON_NOUNS
from eval.xmai.person_nouns import coloured_people
from eval.xmai.records import PerturbedCaption
from eval.xmai.upstream_notebooks import TOLERANCE, reports_in

#: Printed by the authors' notebook METER_SNLI_VE.ipynb (commit decde90): precision, recall, F1.
_PRINTED = {
    "original": ((0.819, 0.859, 0.838), (0.760, 0.713, 0.735), (0.793, 0.803, 0.798), 0.792, 0.791),
    "xmai": ((0.630, 0.887, 0.737), (0.589, 0.673, 0.628), (0.826, 0.370, 0.511), 0.643, 0.625),
    "eda": ((0.739, 0.821, 0.778), (0.671, 0.658, 0.665), (0.747, 0.678, 0.711), 0.719, 0.718),
    "clare": ((0.628, 0.835, 0.717), (0.583, 0.661, 0.620), (0.744, 0.398, 0.519), 0.632, 0.618),
}
_SUPPORTS = (5959, 5957, 5943)
_CLASSES = ("contradiction", "neutral", "entailment")


class Goal(NamedTuple):
    """One row of the table; ``is_met`` is None where it could not be measured here."""

    number: int
    item: str
    upstream: str
    target: str
    found: str
    is_met: bool | None

    @property
    def verdict(self) -> str:
        """For the table."""
        return {True: "met", False: "MISSED", None: "not measured"}[self.is_met]


def insertion_only_share(captions: Sequence[PerturbedCaption]) -> float:
    """Of captions that give their original back, byte for byte, without the inserted spans."""
    kept = 0
    for caption in captions:
        try:
            kept += caption.restored() == caption.original
        except ValueError:
            continue
    return kept / len(captions)


def num_with_residue(captions: Sequence[PerturbedCaption]) -> int:
    """Captions with mask tokens, word pieces or words fused with a piece."""
    return sum(
        bool(SPECIAL.search(caption.perturbed))
        or bool(fused_words(caption.original, caption.perturbed))
        for caption in captions
    )


def num_coloured_people(captions: Sequence[PerturbedCaption]) -> int:
    """Inserted words that put white or black directly before a person."""
    found = 0
    for caption in captions:
        shift = 0
        for insertion in caption.insertions:
            start = insertion.offset + shift
            shift += len(insertion.text)
            words = [insertion.word.lower(), *caption.perturbed[start:].lower().split()[1:2]]
            found += len(coloured_people(words, [0], nouns=PERSON_NOUNS))
    return found


def largest_f1_difference() -> float:
    """Between the four printed classification reports and what follows from their rows."""
    differences = []
    for name, (*rows, accuracy, macro) in _PRINTED.items():
        lines = ["precision recall f1-score support"]
        for label, row, support in zip(_CLASSES, rows, _SUPPORTS, strict=True):
            lines.append(f"{label} {' '.join(f'{v:.3f}' for v in row)} {support}")
        lines += [f"accuracy {accuracy:.3f} 17859", f"macro avg 0.000 0.000 {macro:.3f} 17859"]
        differences += [r.largest_difference for r in reports_in("\n".join(lines), where=name)]
    assert len(differences) == len(_PRINTED)
    return max(differences)


def f1_goal() -> Goal:
    """Row 10."""
    difference = largest_f1_difference()
    return Goal(
        10, "macro-F1 table from stored predictions", "notebook only", f"within {TOLERANCE}",
        f"{difference:.5f}", difference <= TOLERANCE,
    )  # fmt: skip


def goal_table(goals: Sequence[Goal]) -> str:
    """As text."""
    head = ("#", "goal", "upstream", "target", "found", "")
    rows = [head] + [
        (str(g.number), g.item, g.upstream, g.target, g.found, g.verdict) for g in goals
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(lines)
