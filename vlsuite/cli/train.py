"""``vlsuite train``: one process of a training run, however it was launched."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlsuite.cli.answers import is_asked, tell
from vlsuite.cli.inputs import refuse_missing_shards
from vlsuite.engine.other_names import OTHER_NAMES

HELP = """\
Train a model with DeepSpeed from WebDataset shards.

One process:      vlsuite train cifar10 --set data.train=shards/ --out runs/first
Two, one host:    torchrun --nproc-per-node 2 --no-python vlsuite train cifar10 ...
DeepSpeed hosts:  deepspeed --hostfile hosts --no_python vlsuite train clip_vit_b32 ...
Slurm:            srun --ntasks-per-node 8 vlsuite train clip_vit_b32 ...

Any setting of a recipe can be changed, for example:
  --set optim.lr=1e-3 --set global_batch_size=4096 --set micro_batch_size=256
  --set precision=bf16 --set deepspeed=zero2 --set objective=siglip
  --set model.name=ViT-B-16 --set model.pretrained=openai --set duration=12.8e6samples
--show-config prints all of them. The order of samples follows from the seed; --set
data.window_shards=100 --set data.window_samples=200000 change how far it mixes them.

A run that was killed continues exactly where its last checkpoint was, also with another number of
processes or another ZeRO stage. Where training shards changed meanwhile it refuses and says which;
--set data.accept_content=... (as it says) goes on with these. In batch scripts put --auto-resume,
which starts the run the first time and continues it ever after. Exit codes: 0 finished; 2 needs you
(the message says what); 75 stopped by SIGTERM or SIGUSR1 with its state saved; 76 lost another
process, a host or a worker; 130 Ctrl-C, nothing saved beyond the last checkpoint. 75 and 76 can be
continued at once. Under Slurm: #SBATCH --requeue --signal=USR1@120.
(torchrun returns 1 for both; its log names the code.)
"""


_SETTINGS = OTHER_NAMES | {
    "data": "data.train",
    "lr": "optim.lr",
    "model": "model.name",
    "objective": "objective",
    "precision": "precision",
    "pretrained": "model.pretrained",
    "seed": "seed",
    "tokenizer": "model.tokenizer",
    "warmup": "optim.warmup_steps",
    "weight_decay": "optim.weight_decay",
}


def _options(settings: Mapping[str, str]) -> dict[str, str]:
    """Options of other trainers, and how the same is said here."""
    told = {
        name: f"--set {text}" if "{}" in text else f"--set {text}={{}}"
        for name, text in settings.items()
    }
    told |= {name.replace("_", "-"): text for name, text in told.items()}
    return {f"--{name}": text for name, text in told.items()}


FAMILIAR = _options(_SETTINGS)

#: Of an option that is like none of these.
OTHERWISE = "settings are changed with --set KEY=VALUE (--show-config prints them)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument("recipe", help="a named run; --list-recipes shows them", nargs="?")
    parser.add_argument("--out", type=Path, help="run folder (default: runs/RECIPE)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change one setting"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue the run in --out from its newest checkpoint, with its stored settings",
    )
    parser.add_argument(
        "--auto-resume",
        action="store_true",
        help="as --resume if --out holds this run already, else start it",
    )
    parser.add_argument(
        "--show-config", action="store_true", help="print the resolved settings and stop"
    )
    parser.add_argument("--list-recipes", action="store_true", help="print the recipes and stop")


def run(args: argparse.Namespace) -> int:
    """Train; returns the exit code."""
    if args.list_recipes or (args.recipe is None and not (args.resume and args.out)):
        return _list_recipes(asked=args.list_recipes)
    _check(args)
    from vlsuite.api.training import plan
    from vlsuite.errors import LostContactError

    resume = True if args.resume else "auto" if args.auto_resume else False
    planned = plan(args.recipe, args.set, out=args.out, resume=resume)
    if args.show_config:
        return _show(planned.config)
    try:
        done = planned.carry_out()
    except KeyboardInterrupt:
        if not planned.folder.config.exists():
            raise
        print(
            f"interrupted; what the last checkpoint holds is kept: continue with --resume --out "
            f"{planned.folder.path} (kill -TERM saves first)",
            file=sys.stderr,
        )
        return 130
    except LostContactError as error:
        # Leaving in the usual way would wait for the lost peer once more.
        print(f"error: {error}", file=sys.stderr, flush=True)
        os._exit(error.exit_code)
    if is_asked():
        tell(
            run=done.folder,
            export=planned.folder.export,
            step=done.step,
            samples_seen=done.samples_seen,
            metrics=done.metrics,
            validation=[_scores(result) for result in done.validation],
        )
    return 0


def _check(args: argparse.Namespace) -> None:
    """What is named is there; told before the libraries of models are imported."""
    from vlsuite.errors import RunFolderError
    from vlsuite.recipes import registry

    if args.recipe is not None and not (args.resume or args.auto_resume):
        registry.refuse_unknown(args.recipe)
    if args.resume and args.out is not None and not (args.out / "config.json").is_file():
        raise RunFolderError(f"nothing to resume: no run in {args.out}; leave out --resume")
    refuse_missing_shards(args.set)


def _scores(result: Mapping[str, Any]) -> dict[str, Any]:
    names = ("benchmark", "dataset", "split", "scores", "num_samples")
    return {name: result[name] for name in names if name in result}


def _list_recipes(*, asked: bool) -> int:
    from vlsuite.recipes import registry

    print("recipes:")
    about: dict[str, str] = {}
    for name, recipe, problem in registry.listed():
        lines = (getattr(recipe, "__doc__", None) or "").strip().splitlines() or [""]
        about[name] = f"not available: {problem}" if problem else lines[0]
        print(f"  {name:24} {about[name]}")
    tell(recipes=about)
    if not asked:
        print("\nusage: vlsuite train RECIPE --set data.train=DIR; see vlsuite train --help")
    return 0 if asked else 2


def _show(config: Any) -> int:
    import json

    from data_pipelines.settings import to_dict

    settings = to_dict(config)
    tell(**settings)
    print(json.dumps(settings, indent=2))
    return 0
