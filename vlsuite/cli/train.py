"""``vlsuite train``: one process of a training run, however it was launched."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

HELP = """\
Train a model with DeepSpeed from WebDataset shards.

One process:      vlsuite train cifar10 --set data.train=shards/ --out runs/first
Two, one host:    torchrun --nproc-per-node 2 -m vlsuite train cifar10 ...
DeepSpeed hosts:  deepspeed --hostfile hosts --module vlsuite train clip_vit_b32 ...
Slurm:            srun --ntasks-per-node 8 vlsuite train clip_vit_b32 ...

Any setting of a recipe can be changed, for example:
  --set optim.lr=1e-3 --set global_batch_size=4096 --set micro_batch_size=256
  --set precision=bf16 --set deepspeed=zero2 --set objective=siglip
  --set model.name=ViT-B-16 --set model.pretrained=openai --set duration=12.8e6samples
--show-config prints all of them.

A run that was killed continues exactly where its last checkpoint was, also with another number of
processes or another ZeRO stage. In batch scripts put --auto-resume, which starts the run the first
time and continues it ever after. Exit codes: 0 finished; 2 needs you (the message says what);
75 stopped by SIGTERM or SIGUSR1 with its state saved; 76 lost another process, a host or a worker;
130 Ctrl-C, nothing saved beyond the last checkpoint. 75 and 76 can be continued at once. Under
Slurm: #SBATCH --requeue --signal=USR1@120.
(torchrun returns 1 for both; its log names the code.)
"""


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
    from data_pipelines.settings import apply_overrides
    from vlsuite.engine.run_folder import RunFolder
    from vlsuite.errors import ConfigError
    from vlsuite.recipes import registry

    if args.resume and args.recipe is None and args.out is not None:
        args.recipe = RunFolder(args.out).stored_recipe()
    if args.list_recipes or args.recipe is None:
        return _list_recipes(asked=args.list_recipes)
    recipe = registry.get(args.recipe)
    folder = RunFolder(args.out or Path("runs") / args.recipe)
    continues = args.resume or (args.auto_resume and folder.config.exists())
    base = folder.stored_config(args.recipe) if continues else recipe()
    config = apply_overrides(base, args.set)
    if continues and not args.show_config and os.environ.get("RANK", "0") == "0":
        _name_changes(base, config, folder)
    if args.show_config:
        return _show(config)
    if not config.data.train:
        raise ConfigError(f"recipe '{args.recipe}' needs shards: --set data.train=DIR")
    return _train(args.recipe, config, folder, continues=continues)


def _train(recipe: str, config: Any, folder: Any, *, continues: bool) -> int:
    from vlsuite.engine.distributed import start_distributed
    from vlsuite.engine.peers import peers_lost_as_error
    from vlsuite.engine.train_loop import train
    from vlsuite.errors import LostContactError

    evaluators = _evaluators(config)
    _check_data(config)
    if not continues:
        # Every process looks before it joins the others, the first one writes after that.
        folder.refuse_existing_run()
    try:
        ctx = start_distributed(threads=config.threads, timeout=config.stall_timeout)
        with peers_lost_as_error(ctx.world_size):
            if ctx.is_first and not continues:
                folder.create(recipe, config)
            ctx.barrier()
        train(config, ctx, folder, evaluators)
    except KeyboardInterrupt:
        print(
            f"interrupted; what the last checkpoint holds is kept: continue with --resume --out "
            f"{folder.path} (kill -TERM saves first)",
            file=sys.stderr,
        )
        return 130
    except LostContactError as error:
        # Leaving in the usual way would wait for the lost peer once more.
        print(f"error: {error}", file=sys.stderr, flush=True)
        os._exit(error.exit_code)
    return 0


def _name_changes(before: Any, after: Any, folder: Any) -> None:
    """Say and record which settings of a run differ from those it began with."""
    from data_pipelines.settings import differences

    changes = differences(before, after)
    folder.record_changes(changes)
    for key, (old, new) in changes.items():
        print(f"changed since the run began: {key}: {old} -> {new}", file=sys.stderr)


def _check_data(config: Any) -> None:
    """Fail on missing shards and uneven batches before any process waits for another."""
    from vlsuite.batches.stream import PairShards

    PairShards.open(config.data)
    config.micro_batch_of(int(os.environ.get("WORLD_SIZE", "1")))


def _evaluators(config: Any) -> list[Any]:
    """Evaluators of the config's validation data, returning plain dictionaries."""
    if not config.validation.data:
        return []
    from eval.running.validation import make_evaluators

    made = make_evaluators(config.validation.data, batch_size=config.validation.batch_size)

    def as_plain(evaluator: Any) -> Any:
        return lambda model: [result.to_dict() for result in evaluator(model)]

    return [as_plain(evaluator) for evaluator in made]


def _list_recipes(*, asked: bool) -> int:
    from vlsuite.recipes import registry

    print("recipes:")
    for name in registry.names():
        doc = (registry.get(name).__doc__ or "").strip().splitlines()[0]
        print(f"  {name:24} {doc}")
    if not asked:
        print("\nusage: vlsuite train RECIPE --set data.train=DIR; see vlsuite train --help")
    return 0 if asked else 2


def _show(config: Any) -> int:
    import json

    from data_pipelines.settings import to_dict

    print(json.dumps(to_dict(config), indent=2))
    return 0
