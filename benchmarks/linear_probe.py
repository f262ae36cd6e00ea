"""Is the linear probe as right as scikit-learn's and CLIP_benchmark's, and faster?

All get the same features, and all do what CLIP did: search for the penalty on a validation part,
then fit training and validation pictures together. scikit-learn fits with L-BFGS as CLIP's authors
did (at most 1,000 steps, its default tolerance), for the very penalties that our search asks for;
CLIP_benchmark runs its own search, AdamW with its defaults (10 epochs from a rate of 0.1), and
once more for ten times as long, since the defaults may end far from the minimum. Accuracy is
compared with scikit-learn's at its default tolerance and, for the chosen penalty and two around it,
at a tolerance where both have come to the minimum.

Features: random-patch features of CIFAR-10 (cifar10-train-*.tar, cifar10-test-*.tar of --data or
VLSUITE_BENCH_DATA), an .npz file with train, train_labels, test and test_labels (--features), or
drawn ones without either. Seconds are of one core, used by the process (other work on the machine
changes them little).
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from benchmarks.peers import clip_benchmark
from benchmarks.support import patch_features
from benchmarks.support.data_folder import VARIABLE, folder_with
from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.timed_process import work_folder
from eval.metrics.intervals import wilson_score
from eval.probes.linear_probe import TOLERANCE
from eval.probes.logistic import Classifier, LogisticProblem, places
from eval.probes.preconditioned import Stopping
from eval.probes.probe import SWEEP_TOLERANCE
from eval.probes.sweep import Labelled, Swept, sweep

_QUICK = {"train_pictures": 2000, "test_pictures": 1000, "filters": 32, "epochs": 2}
_STEPS = 1000
_SHARE = 0.2

# CLIP_benchmark's default rate is kept for so many times its epochs.
_LONGER = 10


class Features(NamedTuple):
    """Of all parts; ``val`` is part of the training pictures."""

    train: Labelled
    val: Labelled
    test: Labelled
    num_classes: int

    @property
    def fitted(self) -> Labelled:
        """Training and validation pictures together."""
        return Labelled(
            torch.cat([self.train.features, self.val.features]),
            np.concatenate([self.train.labels, self.val.labels]),
        )


def main() -> int:
    """Run the comparison; returns the exit code."""
    args = _parse()
    torch.set_num_threads(1)
    environment = describe()
    features = _features(args)
    print(
        f"{len(features.train.labels):,} + {len(features.val.labels):,} pictures, "
        f"{features.train.features.shape[1]} features, {features.num_classes} classes; "
        f"measured on {len(features.test.labels):,}"
    )
    swept, ours, seconds = _ours(features)
    accuracy = _accuracy(ours, features.test)
    score = wilson_score(accuracy)
    print(f"vlsuite          top-1 {score.value:.4f}  l2 {swept.l2:.3g}  {seconds:8.1f} s of CPU")
    figures: dict[str, Any] = {
        "top1": score.value,
        "interval": [score.low, score.high],
        "l2": swept.l2,
        "cpu_s": seconds,
        "converged": ours.converged,
    }
    figures |= _beside_scikit_learn(features, swept, seconds)
    figures["parity"] = _parity(features, swept.l2)
    figures["accuracy_difference"] = max(row["difference"] for row in figures["parity"])
    if not args.no_peer:
        figures |= _beside_clip_benchmark(features, args, seconds, (score.low, score.high))
    config = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    finish("linear_probe", figures, environment, config=config, save=args.save)
    return 0


def _ours(features: Features) -> tuple[Swept, Classifier, float]:
    started = time.process_time()
    swept = sweep(
        _problem(features.train, features.num_classes),
        features.val,
        stopping=Stopping(tolerance=SWEEP_TOLERANCE, max_steps=_STEPS),
    )
    classifier = _problem(features.fitted, features.num_classes).fit(
        swept.l2,
        stopping=Stopping(tolerance=TOLERANCE, max_steps=_STEPS),
        start=swept.classifier.weights,
    )
    return swept, classifier, time.process_time() - started


def _beside_scikit_learn(features: Features, swept: Swept, seconds: float) -> dict[str, Any]:
    """The same search with scikit-learn, each fit anew, as CLIP's authors did it."""
    started, best = time.process_time(), (-1.0, 0.0)
    for l2 in swept.accuracy:
        model = LogisticRegression(C=1 / l2, max_iter=_STEPS)
        model.fit(features.train.features.numpy(), features.train.labels)
        found = float(model.score(features.val.features.numpy(), features.val.labels))
        best = max(best, (found, l2))
    model = LogisticRegression(C=1 / best[1], max_iter=_STEPS)
    model.fit(features.fitted.features.numpy(), features.fitted.labels)
    used = time.process_time() - started
    top1 = float(model.score(features.test.features.numpy(), features.test.labels))
    print(f"scikit-learn     top-1 {top1:.4f}  l2 {best[1]:.3g}  {used:8.1f} s of CPU", flush=True)
    return {
        "speed_ratio": used / seconds,
        "scikit_learn": {"top1": top1, "l2": best[1], "cpu_s": used},
    }


def _parity(features: Features, l2: float) -> list[dict[str, float]]:
    """Accuracies at the minimum: both fitted until nothing changes, scikit-learn in fp64."""
    rows = []
    for penalty in (l2 * 10, l2, l2 / 10):
        ours = _problem(features.fitted, features.num_classes).fit(
            penalty, stopping=Stopping(tolerance=TOLERANCE, max_steps=_STEPS)
        )
        model = LogisticRegression(C=1 / penalty, max_iter=20 * _STEPS, tol=TOLERANCE / 10)
        model.fit(features.fitted.features.double().numpy(), features.fitted.labels)
        mine = float(_accuracy(ours, features.test).mean())
        other = float(model.score(features.test.features.double().numpy(), features.test.labels))
        rows.append(
            {"l2": penalty, "top1": mine, "scikit_learn": other, "difference": abs(mine - other)}
        )
        print(f"at the minimum   l2 {penalty:.3g}: ours {mine:.4f}, scikit-learn {other:.4f}",
              flush=True)  # fmt: skip
    return rows


def _beside_clip_benchmark(
    features: Features, args: argparse.Namespace, seconds: float, interval: tuple[float, float]
) -> dict[str, Any]:
    peer = clip_benchmark.prepare_environment(args.peer_env)
    parts = {
        name: (part.features, torch.from_numpy(part.labels))
        for name, part in (("train", features.train), ("val", features.val),
                           ("test", features.test))
    }  # fmt: skip
    figures: dict[str, Any] = {"peer_versions": peer.versions()}
    for name, epochs in (("", args.epochs), ("_longer", _LONGER * args.epochs)):
        with work_folder("linear_probe", parent=args.work) as folder:
            found = clip_benchmark.probe(
                peer, parts, folder=folder, threads=1, epochs=epochs, seed=args.seed
            )
        top1, used = found.accuracy, found.cpu_s
        print(f"clip_benchmark   top-1 {top1:.4f}  {epochs} epochs  {used:8.1f} s of CPU")
        figures |= {
            f"within_interval{name}": interval[0] <= top1 <= interval[1],
            f"speed_ratio_clip_benchmark{name}": used / seconds,
            f"clip_benchmark{name}": {**found._asdict(), "epochs": epochs},
        }
    return figures


def _accuracy(classifier: Classifier, part: Labelled) -> np.ndarray:
    return places(classifier.weights, part.features, part.labels) < 1


def _problem(part: Labelled, num_classes: int) -> LogisticProblem:
    return LogisticProblem(part.features, torch.from_numpy(part.labels), num_classes=num_classes)


def _features(args: argparse.Namespace) -> Features:
    train, test = _both(args)
    num_classes = int(max(train[1].max(), test[1].max())) + 1
    order = torch.randperm(len(train[1]), generator=torch.Generator().manual_seed(args.seed))
    held = int(_SHARE * len(order))

    def part(features: Tensor, labels: Tensor) -> Labelled:
        return Labelled(features.contiguous(), labels.numpy().astype(np.int64))

    return Features(
        part(train[0][order[held:]], train[1][order[held:]]),
        part(train[0][order[:held]], train[1][order[:held]]),
        part(*test),
        num_classes,
    )


def _both(args: argparse.Namespace) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Features and labels of training and test pictures."""
    if args.features is not None:
        with np.load(args.features) as arrays:
            kept = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        return (kept["train"], kept["train_labels"]), (kept["test"], kept["test_labels"])
    if args.data is None and not os.environ.get(VARIABLE):
        count = args.train_pictures + args.test_pictures
        found = patch_features.drawn_features(
            count, width=4 * args.filters, num_classes=10, seed=args.seed
        )
        cut = args.train_pictures
        return (found[0][:cut], found[1][:cut]), (found[0][cut:], found[1][cut:])
    folder = folder_with(args.data, "cifar10-train-*.tar", "cifar10-test-*.tar")
    train, test = (
        patch_features.labelled_pictures(sorted(folder.glob(f"cifar10-{part}-*.tar")), limit=limit)
        for part, limit in (("train", args.train_pictures), ("test", args.test_pictures))
    )
    filters = patch_features.random_filters(train[0], count=args.filters, seed=args.seed)
    return (
        (patch_features.patch_features(train[0], filters), train[1]),
        (patch_features.patch_features(test[0], filters), test[1]),
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help=f"folder with cifar10-*; else ${VARIABLE}")
    parser.add_argument("--features", type=Path, help=".npz with features of one's own")
    parser.add_argument("--train-pictures", type=int, default=50_000)
    parser.add_argument("--test-pictures", type=int, default=10_000)
    parser.add_argument("--filters", type=int, default=128, help="features are four times as many")
    parser.add_argument("--epochs", type=int, default=10, help="of each fit of CLIP_benchmark")
    parser.add_argument("--no-peer", action="store_true", help="without CLIP_benchmark")
    parser.add_argument("--peer-env", type=Path, help="its environment (default: a cache folder)")
    parser.add_argument("--work", type=Path, help="parent of the working folder")
    parser.add_argument("--seed", type=int, default=0, help="of the patches and the parts")
    parser.add_argument("--quick", action="store_true", help=f"some seconds: {_QUICK}")
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    args = parser.parse_args()
    if args.quick:
        vars(args).update(_QUICK)
    return args


if __name__ == "__main__":
    run_as_program(main)
