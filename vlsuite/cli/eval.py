"""``vlsuite eval``: zero-shot classification and retrieval of one model on some data sets."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vlsuite.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from eval.results import Settings
    from eval.runner import Finished

HELP = """\
zero-shot classification and image-text retrieval, with intervals

  vlsuite eval runs/first --data data/emoji
  vlsuite eval ViT-B-32:laion2b_s34b_b79k --data wds_imagenet1k --templates imagenet
  vlsuite eval runs/first --data cifar10-test-000000.tar --class-names classnames.txt
  torchrun --nproc-per-node 8 -m vlsuite eval ViT-L-14:openai --data wds_imagenet1k
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="run folder, exported folder, ARCHITECTURE:WEIGHTS, local-dir:FOLDER or hf-hub:NAME",
    )
    parser.add_argument(
        "--data",
        metavar="PATH",
        action="append",
        required=True,
        help="CLIP_benchmark folder, folder of such folders, tar, folder of tars, or pattern "
        "(repeatable)",
    )
    parser.add_argument(
        "--task",
        action="append",
        metavar="TASK",
        help="auto, zero_shot or retrieval (repeatable; default: auto, what each data set is for)",
    )
    parser.add_argument(
        "--split",
        default="test",
        help="split of CLIP_benchmark folders, or several joined by commas (default: test)",
    )
    parser.add_argument(
        "--class-names", metavar="FILE", help="one class name a line, or 'imagenet'"
    )
    parser.add_argument(
        "--templates",
        metavar="FILE",
        help="prompts, one a line, {c} for the class name; or a named set: simple, cifar10, "
        "imagenet, imagenet-simple (default: the data set's own, else simple)",
    )
    parser.add_argument(
        "--captions-per-image",
        type=int,
        metavar="N",
        help="retrieval: use the first N captions of an image (default: all)",
    )
    parser.add_argument(
        "--examples",
        type=int,
        default=8,
        metavar="N",
        help="examples of each direction kept for the report (default: 8)",
    )
    parser.add_argument("--batch-size", type=int, default=256, help="images a forward pass")
    parser.add_argument("--workers", type=int, default=2, help="decoding threads (default: 2)")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (default: cuda if there is one)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder for result files (default: results/ of the run folder, else ./results)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of intervals and examples")


def run(args: argparse.Namespace) -> int:
    """Evaluate, print a table, and name the result files.

    Raises:
        UserError: see ``eval.suite.benchmarks_for``, ``vlsuite.models.loading.load_clip`` and
            ``eval.runner.run_benchmarks``.
    """
    import torch

    from eval.decode import StreamingDecoder
    from eval.embed import StreamingEmbedder
    from eval.process_group import ranks
    from eval.runner import run_benchmarks
    from eval.suite import benchmarks_for, opened_datasets
    from eval.tables import result_table
    from eval.zero_shot.request import TaskRequest
    from eval.zero_shot.templates import templates_from
    from vlsuite.models.loading import load_clip

    _check_numbers(args)
    request = TaskRequest(
        templates=templates_from(args.templates) if args.templates else None,
        captions_per_image=args.captions_per_image,
        num_examples=args.examples,
        seed=args.seed,
    )
    benchmarks = benchmarks_for(
        args.data,
        tasks=tuple(dict.fromkeys(args.task or ["auto"])),
        split=args.split,
        class_names=args.class_names,
        request=request,
    )
    for dataset in opened_datasets(benchmarks):
        for line in dataset.warnings():
            print(f"warning: {line}", file=sys.stderr)
    launched = _launched_device()
    default = launched or ("cuda" if torch.cuda.is_available() else "cpu")
    model = load_clip(args.model, device=args.device or default)
    finished = run_benchmarks(
        model,
        benchmarks,
        embedder=StreamingEmbedder(
            decoder=StreamingDecoder(batch_size=args.batch_size, workers=args.workers),
            show_progress=True,
        ),
        out_dir=args.out or _default_out(args.model),
        environment=_environment(args.seed),
    )
    if ranks().rank == 0:
        print(result_table([outcome.result for outcome in finished]))
        _print_files(finished)
    return 0


def _launched_device() -> "torch.device | None":
    """Join the other processes where torchrun or srun started several; None for a single one."""
    if int(os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS") or "1") == 1:
        return None
    from vlsuite.engine.distributed import start_distributed

    return start_distributed().device


def _check_numbers(args: argparse.Namespace) -> None:
    smallest = {"batch_size": 1, "workers": 1, "examples": 0, "captions_per_image": 1}
    for name, least in smallest.items():
        value = getattr(args, name)
        if value is not None and value < least:
            raise ConfigError(f"--{name.replace('_', '-')} is {value}; give at least {least}")


def _default_out(model: str) -> Path:
    return (Path(model) if Path(model).is_dir() else Path()) / "results"


def _environment(seed: int) -> "Settings":
    """Command, commit, hardware and versions; the clock time would differ in each repetition."""
    from vlsuite.engine.run_folder import describe_environment

    environment = describe_environment(seed=seed)
    del environment["started"]
    return environment


def _print_files(finished: "list[Finished]") -> None:
    print()
    for outcome in finished:
        kept = " (finished earlier, kept)" if outcome.was_there else ""
        print(f"results: {outcome.path}{kept}")
