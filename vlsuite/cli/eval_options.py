"""Options of ``vlsuite eval``, by group."""

import argparse
from pathlib import Path


def add_data(group: argparse._ArgumentGroup) -> None:
    """Which data sets, and what belongs to them."""
    group.add_argument(
        "--data",
        metavar="PATH",
        action="append",
        default=[],
        help="CLIP_benchmark folder, folder of such folders, tar, folder of tars, pattern, or "
        "folder of class folders (repeatable)",
    )
    group.add_argument(
        "--split",
        default="test",
        help="split of CLIP_benchmark folders, or several joined by commas (default: test)",
    )
    group.add_argument("--class-names", metavar="FILE", help="one class name a line, or 'imagenet'")
    group.add_argument(
        "--ood",
        metavar="PATH",
        action="append",
        default=[],
        help="pictures of none of the classes, for task ood (repeatable)",
    )
    group.add_argument(
        "--base",
        metavar="PATH",
        action="append",
        default=[],
        help="unshifted set that a shifted one of --data is compared with, for task shift "
        "(repeatable)",
    )
    group.add_argument(
        "--bank", metavar="PATH", help="pictures of the classes for kNN detection (task ood)"
    )
    group.add_argument(
        "--backgrounds", metavar="PATH", help="pictures for background edits (task edits)"
    )
    group.add_argument(
        "--factors",
        metavar="FILE",
        default="",
        help="ImageNet-X annotations, JSON lines (task factors; default: each json member)",
    )


def add_tasks(group: argparse._ArgumentGroup) -> None:
    """What is measured, and how."""
    group.add_argument(
        "--task",
        action="append",
        metavar="TASK",
        help="auto (what each data set is for, the default), all (every task the data allows), or "
        "a name of --list-tasks (repeatable)",
    )
    group.add_argument("--list-tasks", action="store_true", help="name the tasks and stop")
    group.add_argument(
        "--templates",
        metavar="FILE",
        help="prompts, one a line, {c} for the class name; or a named set: simple, cifar10, "
        "imagenet, imagenet-simple (default: the data set's own, else simple)",
    )
    group.add_argument(
        "--captions-per-image",
        type=int,
        metavar="N",
        help="retrieval: use the first N captions of an image (default: all)",
    )
    group.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a setting of a task, e.g. attack.eps=1,4 (--list-tasks shows all), or of a model "
        "that is asked: model.key_env=NAME, model.max_side=896 and whatever else 'vlsuite "
        "omnibench run --help' has as options for it (repeatable)",
    )
    group.add_argument(
        "--influence",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="what the model is made of, where its name does not say it, e.g. "
        "training_source=LAION-2B (repeatable)",
    )
    group.add_argument(
        "--examples",
        type=int,
        default=8,
        metavar="N",
        help="examples of each direction kept for the report (default: 8)",
    )
    group.add_argument("--seed", type=int, default=0, help="of intervals, draws and examples")


def add_running(group: argparse._ArgumentGroup) -> None:
    """Speed, places and devices."""
    group.add_argument("--batch-size", type=int, default=256, help="images a forward pass")
    group.add_argument("--workers", type=int, default=2, help="decoding threads (default: 2)")
    group.add_argument("--device", help="cpu, cuda, cuda:1 (default: cuda if there is one)")
    group.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder for result files (default: results/ of the run folder, else ./results; "
        "compare: ./comparison)",
    )
    group.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="where embeddings are kept (default: $XDG_CACHE_HOME/vlsuite/embeddings, "
        "else ~/.cache/vlsuite/embeddings)",
    )
    group.add_argument(
        "--no-cache", action="store_true", help="forget the embeddings when the command ends"
    )
