"""Options of ``vlsuite eval``, by group."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from data_pipelines.options import option
from vlsuite.cli.options import add_options


@dataclass(frozen=True, kw_only=True, slots=True)
class DataOptions:
    """Which data sets, and what belongs to them.

    Args:
        data: CLIP_benchmark folder, folder of such folders, tar, folder of tars, pattern, folder of
            class folders, or a list of videos or questions about them, LIST or LIST@FOLDER
            (repeatable).
        subset: file of 'vlsuite curate subset' that chooses the samples of --data that count: one
            for all, or one for each --data in order, 'all' for one that is measured whole
            (repeatable).
        split: split of CLIP_benchmark folders, or several joined by commas.
        class_names: one class name a line, or 'imagenet'.
        ood: pictures of none of the classes, for task ood (repeatable).
        base: unshifted set that a shifted one of --data is compared with, for task shift
            (repeatable).
        bank: pictures of the classes for kNN detection (task ood).
        backgrounds: pictures for background edits (task edits).
        factors: ImageNet-X annotations, JSON lines (task factors; default: each json member).
    """

    data: tuple[str, ...] = option(default=(), repeated=True, metavar="PATH")
    subset: tuple[str, ...] = option(default=(), repeated=True, metavar="FILE")
    split: str = "test"
    class_names: str | None = option(default=None, metavar="FILE")
    ood: tuple[str, ...] = option(default=(), repeated=True, metavar="PATH")
    base: tuple[str, ...] = option(default=(), repeated=True, metavar="PATH")
    bank: str | None = option(default=None, metavar="PATH")
    backgrounds: str | None = option(default=None, metavar="PATH")
    factors: str = option(default="", metavar="FILE")


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskOptions:
    """What is measured, and how.

    Args:
        task: auto (what each data set is for, the default), all (every task the data allows), or a
            name of --list-tasks (repeatable).
        list_tasks: name the tasks and stop.
        templates: prompts, one a line, {c} for the class name; or a named set: simple, cifar10,
            imagenet, imagenet-simple (default: the data set's own, else imagenet where all
            classes are ImageNet's, else simple).
        captions_per_image: retrieval: use the first N captions of an image (default: all).
        set: a setting of a task, e.g. attack.eps=1,4 (--list-tasks shows all), or of a model that
            is asked: model.key_env=NAME, model.max_side=896 and whatever else 'vlsuite omnibench
            run --help' has as options for it (repeatable).
        influence: what the model is made of, where its name does not say it, e.g.
            training_source=LAION-2B (repeatable).
        examples: examples of each direction kept for the report.
        seed: of intervals, draws and examples.
    """

    task: tuple[str, ...] | None = option(default=None, repeated=True, metavar="TASK")
    list_tasks: bool = False
    templates: str | None = option(default=None, metavar="FILE")
    captions_per_image: int | None = option(default=None, metavar="N")
    set: tuple[str, ...] = option(default=(), repeated=True, metavar="KEY=VALUE")
    influence: tuple[str, ...] = option(default=(), repeated=True, metavar="KEY=VALUE")
    examples: int = option(default=8, metavar="N")
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningOptions:
    """Speed, places and devices.

    Args:
        step: checkpoint of a run folder to measure (default: the finished model).
        batch_size: images a forward pass.
        workers: decoding threads.
        device: cpu, cuda, cuda:1 (default: cuda if there is one).
        out: folder for result files (default: results/ of the run folder, else ./results; compare:
            ./comparison).
        cache: where embeddings are kept (default: $XDG_CACHE_HOME/vlsuite/embeddings, else
            ~/.cache/vlsuite/embeddings).
        no_cache: forget the embeddings when the command ends.
    """

    step: int | None = option(default=None, metavar="N")
    batch_size: int = 256
    workers: int = 2
    device: str | None = None
    out: Path | None = option(default=None, metavar="DIR")
    cache: Path | None = option(default=None, metavar="DIR")
    no_cache: bool = False


def add_data(group: argparse._ArgumentGroup) -> None:
    """Which data sets, and what belongs to them."""
    add_options(group, DataOptions)


def add_tasks(group: argparse._ArgumentGroup) -> None:
    """What is measured, and how."""
    add_options(group, TaskOptions)


def add_running(group: argparse._ArgumentGroup) -> None:
    """Speed, places and devices."""
    add_options(group, RunningOptions)
