"""Are figures of detectors those of pycocotools and lvis, and how long do they take?

On annotations of real pictures (detection-coco100.json, detection-lvis100.json and their results
and stored figures; skipped where the folder lacks them), on seeded random sets with ties, empty
pictures, crowds and over 300 finds a picture, and on a made-up set of 1,000 pictures, 300 classes
and 160,000 finds, which both sides also time: processor time on one thread.
"""

import argparse
import json
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.peers import detection_evaluators
from benchmarks.support.data_folder import file_if_there
from benchmarks.support.detection_files import (
    made_up_set,
    random_files,
    read_columns,
)
from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.timed_process import work_folder
from eval.detection.evaluators import ClassTable, by_hotcoco, by_ours
from eval.detection.regions import best_of_picture

_QUICK = {"pictures": 50, "sets": 2, "rounds": 1}


def main() -> int:
    """Run the comparison; returns the exit code."""
    return _compare(_parse())


def _compare(args: argparse.Namespace) -> int:
    environment = describe()
    stored = stored_differences(args.data)
    peers = detection_evaluators.prepare_environment(args.peer_env)
    differences: dict[str, list[float]] = {"coco": [], "lvis": []}
    own: list[float] = []
    ratios: dict[str, float] = {}
    seconds: dict[str, list[float]] = {"coco": [], "lvis": []}
    with work_folder("detection_eval", parent=args.work) as work:
        for kind in ("coco", "lvis"):
            sets = [random_files(args.seed + i, kind) for i in range(args.sets)]
            sets.append(made_up_set(args.seed, kind, num_pictures=args.pictures))
            for number, (annotations, results) in enumerate(sets):
                truth, found = read_columns(annotations, results)
                found = best_of_picture(found, 300) if kind == "lvis" else found
                peer = detection_evaluators.measure(peers, kind, annotations, results, work=work)
                table = by_hotcoco(truth, found)
                differences[kind].append(_from_peer(table, peer))
                own.append(table.difference(by_ours(truth, found).table))
                print(f"{kind} set {number}: {differences[kind][-1]:.2g}", flush=True)
                if number == len(sets) - 1:
                    for _ in range(args.rounds):
                        started = time.process_time()
                        by_hotcoco(truth, found)
                        seconds[kind].append(time.process_time() - started)
                    ratios[kind] = peer.seconds / median(seconds[kind])
    figures = {
        "max_diff_coco": max(differences["coco"] + stored.get("coco", [])),
        "max_diff_lvis": max(differences["lvis"] + stored.get("lvis", [])),
        "max_diff_own_evaluator": max(own),
        "seconds_160k": round(median(seconds["coco"]), 3),
        "seconds_160k_lvis": round(median(seconds["lvis"]), 3),
        "ratio_vs_pycocotools": round(ratios["coco"], 1),
        "ratio_vs_lvis": round(ratios["lvis"], 1),
        "stored_figures": {name: max(values) for name, values in stored.items()},
        "peer_versions": peers.versions(),
    }
    for name, value in figures.items():
        print(f"{name:<24} {value}")
    config = {
        "pictures": args.pictures,
        "finds": args.pictures * 160,
        "sets": args.sets,
        "rounds": args.rounds,
        "seed": args.seed,
        "threads": 1,
    }
    finish("detection_eval", figures, environment, config=config, save=args.save)
    return 0


def stored_differences(folder: Path | None) -> dict[str, list[float]]:
    """Distances from the figures that pycocotools and lvis-api gave on real annotations."""

    def read(name: str) -> Any:
        given = None if folder is None else folder / name
        path = file_if_there(given, name, option="--data FOLDER")
        return None if path is None else json.loads(path.read_text())

    expected = read("detection-expected.json")
    if expected is None:
        print("no detection-expected.json: figures on real annotations are left out")
        return {}
    differences: dict[str, list[float]] = {"coco": [], "lvis": []}
    for kind, figures in expected["coco"].items():
        truth, found = read_columns(
            read("detection-coco100.json"), read(f"detection-coco100-{kind}.json")
        )
        table = by_hotcoco(truth, found)
        ours = [*_means(table), *(np.nanmean(table.recall[0, area]) for area in range(4))]
        differences["coco"].append(_largest(ours, figures[:6] + figures[8:]))
    for name, figures in expected["lvis"].items():
        listed = read("detection-lvis100.json")
        truth, found = read_columns(listed, read(f"detection-lvis100-{name}.json"))
        table = by_hotcoco(truth, best_of_picture(found, 300))
        categories = sorted(listed["categories"], key=lambda one: one["id"])
        letters = np.array([one["frequency"] for one in categories])
        ours = [
            *_means(table),
            *(np.nanmean(table.precision[0][:, letters == letter]) for letter in "rcf"),
            *(np.nanmean(table.recall[1, area]) for area in range(4)),
        ]
        differences["lvis"].append(_largest(ours, list(figures.values())))
    return differences


def _means(table: ClassTable) -> list[float]:
    """AP, AP50, AP75, and AP of small, medium and large regions."""
    ap = table.precision
    first = [np.nanmean(ap[0]), np.nanmean(ap[0, 0]), np.nanmean(ap[0, 5])]
    return [*map(float, first), *(float(np.nanmean(ap[area])) for area in (1, 2, 3))]


def _largest(ours: list[Any], theirs: list[float]) -> float:
    return float(np.abs(np.array(ours, dtype=np.float64) - np.array(theirs)).max())


def _from_peer(table: ClassTable, peer: detection_evaluators.PeerFigures) -> float:
    """Largest distance over all classes, thresholds and areas; infinite where only one has any."""
    ours = np.moveaxis(table.precision, 0, 2), np.moveaxis(table.recall[1], 0, 2)
    largest = 0.0
    for one, two in zip(ours, (peer.precision, peer.recall), strict=True):
        if not np.array_equal(np.isnan(one), np.isnan(two)):
            return float("inf")
        largest = max(largest, float(np.nanmax(np.abs(one - two), initial=0.0)))
    return largest


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with the detection-*.json files")
    parser.add_argument("--pictures", type=int, default=1000, help="of the set that is timed")
    parser.add_argument("--sets", type=int, default=20, help="random sets of each protocol")
    parser.add_argument("--rounds", type=int, default=3, help="of ours; the peer's takes minutes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peer-env", type=Path, help="environment of the peers; installed there")
    parser.add_argument("--work", type=Path, help="where files live while it runs")
    parser.add_argument("--save", action="store_true", help="append to benchmarks/results")
    parser.add_argument(
        "--quick", action="store_true", help="small sets, one round: shows that it runs"
    )
    args = parser.parse_args()
    if args.quick:
        vars(args).update(_QUICK)
    return args


if __name__ == "__main__":
    run_as_program(main)
