"""``vlsuite eval``: everything that can be measured of one model, or several compared."""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlsuite.cli.answers import is_asked, tell
from vlsuite.cli.eval_options import add_data, add_running, add_tasks
from vlsuite.cli.inputs import (
    refuse_missing_data,
    refuse_missing_file,
    refuse_missing_models,
    refuse_unknown_templates,
)
from vlsuite.cli.outputs import refuse_unwritable
from vlsuite.cli.parser import CommandParser
from vlsuite.cli.printing import add_printing
from vlsuite.errors import ConfigError

if TYPE_CHECKING:
    from eval.contract import Benchmark
    from eval.running.runner import Finished
    from eval.task_choices import TaskChoices

COMPARE = "compare"

#: Begins settings of the model among those of tasks.
_OF_MODEL = "model."

HELP = """\
accuracy, retrieval, robustness and safety of a model, with intervals; compare models

  vlsuite eval runs/first --data data/emoji
  vlsuite eval ViT-B-32:laion2b_s34b_b79k --data wds_imagenet1k --templates imagenet
  vlsuite eval runs/first --data cifar10-test-000000.tar --class-names classnames.txt
  vlsuite eval runs/first --step 2000 --data data/emoji
  vlsuite eval siglip-base-patch16-224 --data wds_imagenet1k --task linear_probe --task few_shot
  vlsuite eval runs/first --data photos/test --task linear_probe --set probe.train=photos/train
  vlsuite eval ViT-B-32:openai --data wds_imagenet1k --task all --ood wds_dtd --ood wds_sun397
  vlsuite eval ViT-B-32:openai --data wds_imagenet1k --task corruptions \\
      --set corruptions.severities=1,3,5
  vlsuite eval transformers:Qwen/Qwen2.5-Omni-7B --data wds_coco --task captioning
  vlsuite eval http://127.0.0.1:8000/v1#NAME --data wds_vqa --set model.max_side=896
  vlsuite eval compare runs/a runs/b ViT-B-32:openai --data wds_imagenet1k --out comparison
  vlsuite eval runs/video --data MLVU --data videomme/test-00000-of-00001.parquet@videos \\
      --set video.frames=64 --set video.sampler=segments
  torchrun --nproc-per-node 8 --no-python vlsuite eval ViT-L-14:openai --data wds_imagenet1k

Videos: --data takes shards of videos or of frames, and lists or questions as distributed
(LIST@FOLDER_OF_VIDEOS). A clip is shown as video.frames pictures (several numbers: a result each;
default: the model's own number) which video.sampler chooses: segments (the middles of equal
stretches), mirrored (the same played backwards; default for questions of order), uniform or time.
Take one number and one sampler for all data sets of a table. video.decoder, video.workers and
video.batch_frames say how clips are decoded, and how many frames the model is shown at once.

Pictures are decoded and embedded once for all tasks; embeddings are kept (--cache), so a second
command, other prompts or an interrupted evaluation start where the first one stopped.
"""


COMPARE_HELP = """\
several models on the same pictures: scores side by side, and which differences are more than chance

  vlsuite eval compare runs/a runs/b ViT-B-32:openai --data wds_imagenet1k --out comparison
  vlsuite eval compare runs/a/results runs/b/results             finished results, nothing measured
  vlsuite eval compare runs/a runs/b --data data/emoji --task zero_shot --task corruptions

With --data every model is measured on every data set first, as 'vlsuite eval' does it (embeddings
that are kept are used); without it the results in the folders are compared as they are. Differences
are paired over the same pictures, with 95% intervals and p-values that count how many there are.

OUT (default: comparison) gets a page, its data as JSON, and the results of each model.
"""


class _Compared(argparse.Action):
    """Keeps the models as the words behind "compare"."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any
    ) -> None:
        """Store them."""
        setattr(namespace, self.dest, [COMPARE, *values])


#: Options of other programs, and how the same is said here.
FAMILIAR = {
    "--checkpoint": "vlsuite eval {} --data PATH",
    "--fewshot-k": "--task few_shot --set probe.shots={}",
    "--train-split": "--set probe.train_split={}",
    "--val-split": "--set probe.validation_split={}",
    "--val-proportion": "--set probe.validation_share={}",
    "--dataset": "--data {}",
    "--dataset-root": "--data {}",
    "--gpu": "--device cuda:{}",
    "--model": "vlsuite eval {} --data PATH",
    "--num-workers": "--workers {}",
    "--output": "--out {}",
    "--pretrained": "vlsuite eval ARCHITECTURE:{} --data PATH",
}

#: Of an option that is like none of these.
OTHERWISE = "settings of tasks are changed with --set TASK.KEY=VALUE (--list-tasks prints them)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        nargs="*",
        help="run folder, exported folder, folder of a CLIP or SigLIP of transformers, "
        "ARCHITECTURE:WEIGHTS, local-dir:FOLDER or hf-hub:NAME; for tasks that ask: "
        "transformers:FOLDER_OR_HUB_NAME, URL#MODEL (a chat endpoint), dual:CLIP+AUDIO; or "
        "'compare' and several of them, or several folders of results",
    )
    _add_options(parser)
    if isinstance(parser, CommandParser):
        parser.verbs = {COMPARE: _compare_parser(parser)}


def _compare_parser(parent: CommandParser) -> CommandParser:
    """The parser of what stands behind "compare"."""
    parser = CommandParser(
        prog=f"{parent.prog} {COMPARE}",
        description=COMPARE_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.familiar, parser.otherwise = parent.familiar, parent.otherwise
    parser.add_argument(
        "model",
        metavar="MODEL",
        nargs="*",
        action=_Compared,
        default=[],
        help="models as 'vlsuite eval' names them, two or more; without --data folders of results",
    )
    _add_options(parser)
    add_printing(parser)
    return parser


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_data(parser.add_argument_group("data"))
    add_tasks(parser.add_argument_group("what is measured"))
    add_running(parser.add_argument_group("how it runs"))


def run(args: argparse.Namespace) -> int:
    """Evaluate, print a table, and name the result files.

    Raises:
        UserError: see ``eval.running.selection.select``, ``eval.opening.open_model`` and
            ``eval.running.runner.run_benchmarks``.
    """
    if args.list_tasks:
        _print_tasks()
        return 0
    _check(args)
    if args.model[0] == COMPARE:
        return _compare(args, args.model[1:])
    refuse_unwritable(_out(args))
    benchmarks = _benchmarks(args)
    with ExitStack() as stack:
        finished = _evaluate(args, args.model[0], benchmarks, _out(args), _cache(args, stack))
    if _is_first():
        from eval.report.published_averages import group_averages
        from eval.report.tables import average_lines, result_table

        results = [outcome.result for outcome in finished]
        print(result_table(results))
        _print_prompts(args, benchmarks)
        averages = group_averages(results)
        for line in average_lines(averages):
            print(line)
        _print_files(finished)
        tell(
            model=args.model[0],
            results=[_told(outcome) for outcome in finished],
            averages=averages,
        )
    return 0


def _compare(args: argparse.Namespace, models: list[str]) -> int:
    """Evaluate what is asked for, then put all results side by side in one page."""
    from data_pipelines.bounded_json import read_json
    from eval.report.sides import read_side, told_apart

    out = args.out or Path("comparison")
    refuse_unwritable(out)
    finished = [] if args.data else [read_side(Path(model)) for model in models]
    from eval.report.compare import build_comparison
    from eval.report.disagreements import pictures_of
    from vlsuite.api.comparison import refuse_shared_files

    benchmarks: list[Benchmark] = []
    if args.data:
        refuse_shared_files(models)
        benchmarks = _benchmarks(args)
        with ExitStack() as stack:
            cache = _cache(args, stack)
            for model in models:
                _evaluate(args, model, benchmarks, out / "results", cache)
        sides = [read_side(out / "results", model=model) for model in models]
    else:
        sides = told_apart(finished, models)
    if _is_first():
        comparison = build_comparison(sides, out, seed=args.seed, pictures=pictures_of(benchmarks))
        print(comparison.text)
        if args.data:
            _print_prompts(args, benchmarks)
        print(f"\nreport: {comparison.page}\ndata: {comparison.data}")
        if is_asked():
            told = read_json(comparison.data)
            tell(report=comparison.page, data=comparison.data, comparison=told)
    return 0


def _print_prompts(args: argparse.Namespace, benchmarks: "list[Benchmark]") -> None:
    """Beside the scores, since these depend on them."""
    from eval.zero_shot.templates import prompt_lines, templates_from

    chosen = templates_from(args.templates) if args.templates else None
    for line in prompt_lines(benchmarks, chosen):
        print(f"prompts: {line}")


def _benchmarks(args: argparse.Namespace) -> "list[Benchmark]":
    from vlsuite.api.evaluation import chosen_benchmarks

    return chosen_benchmarks(
        tuple(args.data),
        tasks=tuple(args.task or ["auto"]),
        split=args.split,
        class_names=args.class_names,
        choices=_choices(args),
        subsets=tuple(args.subset),
    )


def _choices(args: argparse.Namespace) -> "TaskChoices":
    from eval.running.selection import open_companion
    from eval.task_choices import Companions, TaskChoices, options_from
    from eval.zero_shot.templates import templates_from

    options = options_from(_settings_of_model(args.set)[1])
    one = {
        name: open_companion(path, split=args.split) if path else None
        for name, path in (("bank", args.bank), ("backgrounds", args.backgrounds))
    }
    companions = Companions(
        ood=tuple(open_companion(path, split=args.split) for path in args.ood),
        bases=tuple(open_companion(path, split=args.split, task="zero_shot") for path in args.base),
        **one,
    )
    return TaskChoices(
        templates=templates_from(args.templates) if args.templates else None,
        captions_per_image=args.captions_per_image,
        num_examples=args.examples,
        seed=args.seed,
        factors_file=args.factors,
        companions=companions,
        options=options,
    )


def _evaluate(
    args: argparse.Namespace,
    spec: str,
    benchmarks: "list[Benchmark]",
    out: Path,
    cache: Path,
) -> "list[Finished]":
    from vlsuite.api.evaluation import Measuring

    settings, _ = _settings_of_model(args.set)
    measuring = Measuring(
        out=out,
        cache=cache,
        required=tuple(args.task or ()),
        seed=args.seed,
        device=args.device,
        batch_size=args.batch_size,
        workers=args.workers,
        influences=tuple(args.influence),
        model_settings=settings,
        step=args.step,
    )
    return measuring.measure(spec, benchmarks)


def _settings_of_model(overrides: "Sequence[str]") -> tuple[list[str], list[str]]:
    """KEY=VALUE of the model, and TASK.KEY=VALUE of tasks."""
    own = [text for text in overrides if text.startswith(_OF_MODEL)]
    return [text.removeprefix(_OF_MODEL) for text in own], [o for o in overrides if o not in own]


def _is_first() -> bool:
    from eval.process_group import ranks

    return ranks().rank == 0


def _check(args: argparse.Namespace) -> None:
    smallest = {"batch_size": 1, "workers": 1, "examples": 0, "captions_per_image": 1}
    for name, least in smallest.items():
        value = getattr(args, name)
        if value is not None and value < least:
            raise ConfigError(f"--{name.replace('_', '-')} is {value}; give at least {least}")
    if not 0 <= args.seed < 2**32:
        raise ConfigError(f"--seed is {args.seed}; give a number from 0 to {2**32 - 1}")
    if args.cache is not None and args.no_cache:
        raise ConfigError("--cache and --no-cache exclude each other; leave one of them out")
    if not args.model:
        raise ConfigError("no model; give a run folder or ARCHITECTURE:WEIGHTS (--help has more)")
    if args.model[0] == COMPARE:
        _check_compared(args, args.model[1:])
        return
    if args.step is not None and args.step < 0:
        raise ConfigError(f"--step is {args.step}; give the step of a checkpoint")
    if len(args.model) > 1:
        raise ConfigError(
            f"{len(args.model)} models given; to put models side by side: "
            f"vlsuite eval compare {' '.join(args.model)} ..."
        )
    if not args.data:
        raise ConfigError("no data; give --data PATH, a CLIP_benchmark folder or shards")
    _check_inputs(args, args.model)


def _check_inputs(args: argparse.Namespace, models: list[str]) -> None:
    """What is named is there; told before the libraries of models are imported."""
    from eval.task_registry import refuse_unknown_task

    refuse_unknown_templates(args.templates)
    for task in args.task or ():
        refuse_unknown_task(task)
    if args.class_names != "imagenet":
        form = "a text file, one name a line, or imagenet"
        refuse_missing_file(args.class_names, option="--class-names", form=form)
    for subset in args.subset:
        if subset != "all":
            refuse_missing_file(subset, option="--subset", form="a file of 'vlsuite curate subset'")
    data = (*args.data, *args.ood, *args.base, args.bank, args.backgrounds)
    refuse_missing_data(filter(None, data), option="--data")
    refuse_missing_models(*models)


def _check_compared(args: argparse.Namespace, models: list[str]) -> None:
    if len(models) < 2:
        raise ConfigError(
            "compare needs two models or result folders at least: vlsuite eval compare A B ..."
        )
    if args.step is not None:
        raise ConfigError(
            "--step belongs to one run; evaluate each step with 'vlsuite eval RUN --step N --out "
            "DIR', then compare the folders of results"
        )
    twice = next((model for model in models if models.count(model) > 1), None)
    if twice is not None:
        raise ConfigError(f"compare is given {twice} twice; name each model once")
    if not args.data and (args.task or args.set or args.ood or args.base):
        raise ConfigError(
            "compare without --data reads finished results, so that nothing is measured; "
            "give --data PATH, or leave --task, --set, --ood and --base out"
        )
    if args.data:
        _check_inputs(args, models)


def _out(args: argparse.Namespace) -> Path:
    model = Path(args.model[0])
    return args.out or (model if model.is_dir() else Path()) / "results"


def _cache(args: argparse.Namespace, stack: ExitStack) -> Path:
    from vlsuite.api.evaluation import embeddings_folder

    return stack.enter_context(embeddings_folder(False if args.no_cache else args.cache))


def _print_tasks() -> None:
    from data_pipelines.settings import to_dict
    from eval.task_choices import task_options
    from eval.tasks import registry

    about: dict[str, str] = {}
    for name, kind, problem in registry.listed():
        lines = [] if kind is None else (kind.__doc__ or "").strip().splitlines()
        about[name] = f"not available: {problem}" if kind is None else lines[0] if lines else ""
        print(f"{name:<18} {about[name]}")
    groups = {name: to_dict(options()) for name, options, _ in task_options.listed() if options}
    tell(tasks=about, settings=groups)
    print(
        "\nsettings (--set KEY=VALUE; those of attack belong to adversarial, those of corruptions "
        "to corruptions_3d too):"
    )
    for group, settings in groups.items():
        for key, value in settings.items():
            shown = ",".join(map(str, value)) if isinstance(value, tuple | list) else value
            print(f"  {group}.{key}={shown}")


def _told(outcome: "Finished") -> dict[str, Any]:
    """A result for programs: what its file has without pictures and single images."""
    result = outcome.result
    return {
        "benchmark": result.benchmark,
        "dataset": result.dataset,
        "split": result.split,
        "scores": {name: score.to_dict() for name, score in result.scores.items()},
        "chance": result.chance,
        "num_samples": result.num_samples,
        "num_skipped": result.num_skipped,
        "file": outcome.path,
        "was_there": outcome.was_there,
    }


def _print_files(finished: "list[Finished]") -> None:
    print()
    for outcome in finished:
        kept = " (finished earlier, kept)" if outcome.was_there else ""
        print(f"results: {outcome.path}{kept}")
