"""The goals that attribute insertions are held to, beside the published implementation."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.support import xmai_runs
from benchmarks.support.xmai_setup import Setup
from eval.data.folders import open_dataset
from eval.results import Score
from eval.xmai.attack import PICTURES_PER_CHUNK
from eval.xmai.grammar import SPECIAL, fused_words
from eval.xmai.people import PERSON_NOUNS
from eval.xmai.person_nouns import coloured_people
from eval.xmai.quality import quality
from eval.xmai.records import PerturbedCaption, uids_of
from eval.xmai.upstream.notebooks import TOLERANCE, reports_in
from eval.xmai.upstream.published import KNOWN

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


def measured_goals(
    setup: Setup,
    files: Mapping[str, Path],
    scores: Mapping[str, Score],
    seconds: Mapping[str, float],
    *,
    seed: int,
) -> list[Goal]:
    """All rows of the table.

    Args:
        files: perturbed captions of every method, "xmai" and "xmai_published" among them.
        scores: of "xmai" in the retrieval task.
        seconds: that each method took.
    """
    texts = _goals_of_texts(files)
    speeds = _goals_of_speed(setup, files, seconds, seed=seed)
    repeats = _goals_of_repeats(setup, files["xmai"], seed=seed)
    has_all = all(
        f"{kind}{way}_{figure}_drop" in scores
        for kind in ("", "batched_")
        for way in ("text_to_image", "image_to_text")
        for figure in ("mrr", "recall_at_1", "recall_at_5", "recall_at_10")
    )
    num_metrics = len(quality(xmai_runs.captions_in(files["xmai"])))
    rest = [
        Goal(5, "runs without GPU or downloads", "no", "yes", "this run", True),
        Goal(7, "both ways, R@k, full and batched", "MRR in 1k batches", "all",
             f"{len(scores)} scores", has_all),
        Goal(8, "quality metrics with intervals", "4", "8", f"{num_metrics} without a model",
             num_metrics >= 8),
        f1_goal(),
    ]  # fmt: skip
    return sorted([*texts, *speeds, *repeats, *rest], key=lambda goal: goal.number)


def _goals_of_texts(files: Mapping[str, Path]) -> list[Goal]:
    ours = [c for name in ("xmai", "xmai_published") for c in xmai_runs.captions_in(files[name])]
    share = insertion_only_share(ours)
    residue, people = num_with_residue(ours), num_coloured_people(ours)
    num_insertions = sum(len(caption.insertions) for caption in ours)
    known = KNOWN["snli_ve", "xmai"]
    return [
        Goal(1, "insertion-only rows", f"{known['insertion_only'] / known['rows']:.1%}", "100%",
             f"{share:.2%} of {len(ours)}", share == 1.0),
        Goal(2, "special tokens, fused pieces", "12 masks, many", "0", str(residue), residue == 0),
        Goal(3, "white/black before a person", "23.0%", "0 by default",
             f"{people} of {num_insertions}", people == 0),
    ]  # fmt: skip


def _goals_of_speed(
    setup: Setup, files: Mapping[str, Path], seconds: Mapping[str, float], *, seed: int
) -> list[Goal]:
    fake = _fake_speed(setup, seed)
    real = len(xmai_runs.captions_in(files["xmai_published"])) / seconds["xmai_published"]
    return [
        Goal(4, "captions/s with fakes, one CPU core", "-", "1,000", f"{fake:,.0f}", fake >= 1000),
        Goal(4, "captions/s, COCO settings", "3.1 on a GPU", "30 on a GPU",
             f"{real:.1f} on one CPU core, small models", None),
    ]  # fmt: skip


def _goals_of_repeats(setup: Setup, first: Path, *, seed: int) -> list[Goal]:
    """The same file from two workers, and from a run that was killed and started again."""
    options = ("--detections", setup.work / "seen-unseen.jsonl", "--scorer", setup.scorer,
               "--seed", seed)  # fmt: skip
    out = setup.work / "two-workers"
    two, _ = xmai_runs.perturb(out, setup.unseen, "xmai", (*options, "--workers", 2))
    chunks = -(-len(open_dataset(str(setup.unseen), task="retrieval")) // PICTURES_PER_CHUNK)
    again, parts = xmai_runs.killed_and_resumed(
        setup.work / "killed", setup.unseen, options, chunks=chunks
    )
    own, of_two, of_killed = (xmai_runs.digest_of(path) for path in (first, two, again))
    return [
        Goal(6, "same bytes, 1 and 2 workers", "not promised", "identical",
             "identical" if own == of_two else "differ", own == of_two),
        Goal(9, "killed at half, resumed", "loses everything", "no row lost",
             f"{'identical' if own == of_killed else 'differ'}, killed at {parts} of {chunks}",
             own == of_killed and parts > 0),
    ]  # fmt: skip


def _fake_speed(setup: Setup, seed: int) -> float:
    """Words of given detections and no model; the program's start is not counted."""
    dataset = open_dataset(str(setup.train), task="retrieval")
    assert dataset.captions is not None
    seen = setup.work / "given.jsonl"
    with seen.open("w", encoding="utf-8") as file:
        for uid, captions in zip(uids_of(dataset), dataset.captions, strict=True):
            for word in dict.fromkeys(captions[0].split()):
                record = {"uid": uid, "name": word, "attribute": "small", "score": 1.0,
                          "attribute_score": 1.0}  # fmt: skip
                file.write(json.dumps(record) + "\n")
    options = ("--detections", seen, "--seed", seed)
    path, seconds = xmai_runs.perturb(setup.work / "fakes", setup.train, "xmai", options)
    return len(xmai_runs.captions_in(path)) / seconds
