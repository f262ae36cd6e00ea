"""All figures of a detection study as one JSON-ready object: tables, plots, benchmarks read it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data_pipelines.bounded_json import read_object
from data_pipelines.shards.manifest import Manifest
from eval.studies.detection.folders import StudyFolders
from eval.studies.detection.measures import GROUPS
from eval.studies.detection.records import HeadRecord, measures_by_cell
from eval.studies.detection.run import stage_times
from eval.studies.detection.settings import MODES
from eval.studies.detection.statistics import INTERVALS, Statistics
from eval.studies.estimates import Estimate

#: Raised whenever a key changes its meaning.
VERSION = 1

#: Differences that are shown: first minus second.
COMPARED = (
    ("text", "supervised"), ("image", "text"), ("vild", "image"), ("vild", "text"),
    ("ensemble", "vild"), ("ensemble", "text"), ("vild", "crop"),
)  # fmt: skip


def statistics_of(records: Sequence[HeadRecord], *, seed: int = 0) -> Statistics:
    """Of finished heads.

    Args:
        records: of one study.
        seed: of the draws.
    """
    return Statistics(
        measures_by_cell(records), num_pictures=int(records[0].result["num_pictures"]), seed=seed
    )


def _shared_words(details: Mapping[str, Any]) -> Any:
    return details["vocabulary"].get("novel_names_sharing_a_word_with_base")


def summarise(
    folders: StudyFolders, records: Sequence[HeadRecord], *, judged: str, seed: int = 0
) -> dict[str, Any]:
    """Every figure of a study; shares in [0, 1], undefined ones null.

    Args:
        folders: of the study.
        records: of the finished heads.
        judged: the split that they were judged on.
        seed: of all draws.
    """
    statistics = statistics_of(records, seed=seed)
    modes = [mode for mode in MODES if statistics.seeds(mode)]
    details = Manifest.load(folders.scenes).origin.details
    times = stage_times(folders)
    return {
        "version": VERSION,
        "settings": records[0].result["settings"],
        "environment": records[0].result["environment"],
        "commits": sorted({str(one.result["environment"]["commit"]) for one in records}),
        "judged": judged,
        "num_pictures": records[0].result["num_pictures"],
        "num_heads": len(records),
        "intervals": INTERVALS,
        "bootstrap_seed": seed,
        "scenes": {name: details.get(name) for name in ("art", "backgrounds", "samples")}
        | {"shared_words": _shared_words(details)},
        "teacher_top1": read_object(folders.teacher_facts)["top1"][judged],
        "proposals": read_object(folders.recalls)["recalls"][judged],
        "modes": modes,
        "results": {mode: _results(statistics, records, mode) for mode in modes},
        "differences": {
            f"{first} - {second}": {
                group: _plain(statistics.difference(first, second, group)) for group in GROUPS
            }
            for first, second in COMPARED
            if first in modes and second in modes
        },
        "shuffled": {
            group: _plain(statistics.ap50("image", group, vectors="shuffled")) for group in GROUPS
        },
        "stage_seconds": {
            name: {kind: None if s is None else round(s, 1) for kind, s in own.items()}
            for name, own in times.items()
        },
        "wall_clock_seconds": round(sum(own["wall"] for own in times.values()), 1),
        "processor_seconds": _sum([own["cpu"] for own in times.values()]),
    }


def _results(statistics: Statistics, records: Sequence[HeadRecord], mode: str) -> dict[str, Any]:
    own = [one for one in records if (one.cell.mode, one.cell.vectors) == (mode, "own")]
    return {
        "seeds": statistics.seeds(mode),
        "ap50": {group: _plain(statistics.ap50(mode, group)) for group in GROUPS},
        "ap": {
            group: round(float(np.mean([one.measures.ap[group] for one in own])), 5)
            for group in GROUPS
        },
        "ap50_by_seed": {
            group: [round(one.measures.ap50[group], 5) for one in own] for group in GROUPS
        },
        "permuted_novel": _plain(statistics.permuted(mode)),
        "losses": own[0].result["losses"],
        "train_seconds": round(float(np.mean([one.result["train_seconds"] for one in own])), 1),
        "detect_seconds": round(float(np.mean([one.result["detect_seconds"] for one in own])), 1),
    }


def _plain(found: Estimate | None) -> dict[str, Any] | None:
    return None if found is None else found.to_dict()


def _sum(seconds: Sequence[float | None]) -> float | None:
    """None where one is not known."""
    known = [one for one in seconds if one is not None]
    return round(sum(known), 1) if len(known) == len(seconds) else None
