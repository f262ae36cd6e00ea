"""Evaluations of a model by name, or of any object that ``eval.contract`` describes."""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, make_dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import torch

from data_pipelines.printable import printable
from eval.contract import Benchmark, EmbeddingModel, Model
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.errors import EvaluationError
from eval.influence_factors import influences_of, is_stated
from eval.report.disagreements import Pictures, pictures_of
from eval.respondents.cost import account_line
from eval.results import EvalResult
from eval.running.runner import Finished, run_benchmarks
from eval.running.selection import open_companion, opened_datasets, select
from eval.task_choices import Companions, TaskChoices, task_options
from eval.zero_shot.templates import templates_from
from vlsuite.api.models import load_model
from vlsuite.api.setting_values import apply_values, refuse_unknown
from vlsuite.api.several import names
from vlsuite.api.training_shards import patterns_of_run, subsets_of_run, trained_on_warnings
from vlsuite.engine.distributed import start_distributed
from vlsuite.engine.run_folder import describe_environment
from vlsuite.errors import ConfigError

Names = str | PathLike | Iterable[str | PathLike]
#: A folder; None for the usual one, False for none.
Cache = str | PathLike | None | Literal[False]

#: Options that are no settings of a task: other data, and choices that all tasks share.
_DATA_BESIDE = ("ood", "base", "bank", "backgrounds")
_SHARED = ("captions_per_image", "num_examples", "factors_file")


def evaluate(
    model: Any,
    data: Names,
    *,
    tasks: str | Iterable[str] = ("auto",),
    subset: Names = (),
    out: str | PathLike | None = None,
    split: str = "test",
    class_names: Names | None = None,
    templates: str | Iterable[str] | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str | None = None,
    batch_size: int = 256,
    cache: Cache = None,
    step: int | None = None,
) -> list[EvalResult]:
    """Measure a model on data sets; under torchrun or srun, in all processes together.

    Args:
        model: a name, as for ``vlsuite.load_model``, or an object of one's own that satisfies the
            protocols of ``eval.contract`` for what it can do (``EmbeddingModel`` for most tasks).
        data: CLIP_benchmark folders, folders of such folders, shards, or folders of class
            folders; one or several. "zero_shot=PATH" forces a task for one.
        tasks: names of ``vlsuite eval --list-tasks``; "auto" for what each data set is for, "all"
            for everything it allows.
        subset: files of 'vlsuite curate subset' that choose the samples that count: one for all
            data, or one for each, "all" for data that count whole.
        out: folder for result files; those that are finished there are not measured again. None
            keeps nothing (a run folder's own place is RUN/results).
        split: of CLIP_benchmark folders, or several joined by commas.
        class_names: file with one name a line, "imagenet", or the names; None takes the data's own.
        templates: named set, file, or prompts with "{c}"; None takes the data's own.
        options: settings of tasks by name ({"corruptions.max_images": 100}), of a model that has
            some ({"model.KEY": ...}), and besides them
            "ood", "base", "bank", "backgrounds" (paths of other data sets),
            "captions_per_image", "num_examples" and "factors_file".
        seed: of intervals and draws.
        device: of a model given by name; None takes a GPU where there is one.
        batch_size: images in a forward pass.
        cache: folder that keeps embeddings for later calls, False for none; None takes the usual
            one for a model given by name and none for an object, which may change unseen.
        step: of a run folder, the checkpoint of that step instead of the finished model.
    Returns:
        A result each: ``scores`` with intervals, ``chance``, ``num_samples``, ``details``.
    Raises:
        EvaluationError: nothing to evaluate, or data, tasks, options and model that do not fit.
        ModelError, UnknownNameError: no such model or task.
        ConfigError: an unknown option, or an object that is no model.

    Example::

        results = vlsuite.evaluate("runs/first", "data/emoji", tasks=["zero_shot", "retrieval"])
        for result in results:
            print(result.benchmark, result.dataset, result.scores)
    """
    of_model, others = _of_model(options or {})
    with ExitStack() as stack:
        named_classes = stack.enter_context(_class_names_file(class_names))
        chosen = names(tasks, "tasks")
        benchmarks = chosen_benchmarks(
            names(data, "data"),
            tasks=chosen,
            split=split,
            class_names=named_classes,
            choices=choices_of(others, templates=templates, seed=seed, split=split),
            subsets=names(subset, "subset"),
        )
        run = Measuring(
            out=Path(out or stack.enter_context(tempfile.TemporaryDirectory())),
            required=() if chosen == ("auto",) else chosen,
            seed=seed,
            device=device,
            batch_size=batch_size,
            cache=stack.enter_context(embeddings_folder(_cache_for(model, cache))),
            model_settings=of_model,
            step=step,
        )
        return [finished.result for finished in run.measure(model, benchmarks)]


def pictures_behind(data: Names, settings: Mapping[str, Any]) -> Pictures:
    """The pictures of data sets, for pages that show some, opened as ``evaluate`` opens them.

    Args:
        settings: those of ``evaluate`` that say how data are read; all others are passed over.
    """
    with _class_names_file(settings.get("class_names")) as named_classes:
        selection = select(
            names(data, "data"),
            tasks=names(settings.get("tasks", "auto"), "tasks"),
            split=settings.get("split", "test"),
            class_names=named_classes,
            subsets=names(settings.get("subset", ()), "subset"),
        )
    return pictures_of(selection.benchmarks)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measuring:
    """How benchmarks are run, whichever they are.

    Attributes:
        out: folder for result files.
        cache: folder for embeddings.
        required: tasks that must be possible for the model.
        seed: recorded with the results.
        device: of a model given by name; None takes a GPU where there is one.
        batch_size: images in a forward pass.
        workers: decoding threads.
        influences: "key=value" about a model given by name.
        model_settings: of a model given by name, where its kind has some.
        step: checkpoint of a run folder; None takes the finished model.
    """

    out: Path
    cache: Path
    required: tuple[str, ...] = ()
    seed: int = 0
    device: str | None = None
    batch_size: int = 256
    workers: int = 2
    influences: tuple[str, ...] = ()
    model_settings: Mapping[str, Any] | Sequence[str] = ()
    step: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("batch_size", self.batch_size), ("workers", self.workers)):
            if value < 1:
                raise ConfigError(f"{name}={value}: give at least 1")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed={self.seed}: give a number from 0 to {2**32 - 1}")

    def measure(self, model: Any, benchmarks: list[Benchmark]) -> list[Finished]:
        """Run what is not finished; a model is a name or an object. All processes call.

        Raises:
            UserError: see ``vlsuite.load_model`` and ``eval.running.runner.run_benchmarks``.
        """
        is_named = isinstance(model, str | PathLike)
        influences = influences_of(os.fspath(model), self.influences) if is_named else {}
        if self.step is not None and not is_stated(self.influences, "training_length"):
            influences["training_length"] = f"step {self.step:,}"
        if is_named and os.environ.get("RANK", "0") == "0":
            _warn_of_training_shards(os.fspath(model), benchmarks)
        launched = _launched_device()
        if is_named:
            device = self.device or launched
            model = load_model(model, device=device, settings=self.model_settings, step=self.step)
        elif self.device or self.model_settings or self.step is not None:
            raise ConfigError(
                "device, settings and step belong to a model given by name, not to an object"
            )
        else:
            _refuse_other_objects(model)
        decoder = StreamingDecoder(batch_size=self.batch_size, workers=self.workers)
        streaming = StreamingEmbedder(decoder=decoder, show_progress=True)
        environment = describe_environment(seed=self.seed)
        del environment["started"]  # it would differ in each repetition
        try:
            return run_benchmarks(
                model,
                benchmarks,
                embedder=StoredEmbedder(streaming, self.cache, batch_size=self.batch_size),
                out_dir=self.out,
                environment=environment,
                influences=influences,
                required=self.required,
            )
        finally:
            if line := account_line(model):
                print(printable(line), file=sys.stderr)


def chosen_benchmarks(
    paths: tuple[str, ...],
    *,
    tasks: tuple[str, ...],
    split: str,
    class_names: str | None,
    choices: TaskChoices,
    subsets: tuple[str, ...] = (),
) -> list[Benchmark]:
    """What is to be measured; what cannot be, and what is odd about the data, on standard error.

    Raises:
        UserError: see ``eval.running.selection.select``.
    """
    selection = select(
        paths,
        tasks=tuple(dict.fromkeys(tasks)),
        split=split,
        class_names=class_names,
        choices=choices,
        subsets=subsets,
    )
    for line in selection.warnings():
        print(printable(f"warning: {line}"), file=sys.stderr)
    for line in selection.not_possible:
        print(printable(f"not measured: {line}"), file=sys.stderr)
    return selection.benchmarks


def choices_of(
    options: Mapping[str, Any],
    *,
    templates: str | Iterable[str] | None,
    seed: int,
    split: str,
) -> TaskChoices:
    """Everything that can be chosen about tasks, from Python values.

    Raises:
        ConfigError: an unknown option, or one of a wrong type.
        UserError: a data set beside cannot be opened.
    """
    plain = {key: value for key, value in options.items() if not _is_of_task(key, value)}
    refuse_unknown(plain, (*_DATA_BESIDE, *_SHARED), what="option")
    beside = {key: names(plain.pop(key), key) for key in _DATA_BESIDE if key in plain}
    shared = apply_values(TaskChoices(), plain)
    return replace(
        shared,
        templates=_templates(templates),
        seed=seed,
        companions=_companions(beside, split=split),
        options=_task_options({k: v for k, v in options.items() if _is_of_task(k, v)}),
    )


@contextmanager
def embeddings_folder(cache: Cache) -> Iterator[Path]:
    """Where embeddings are kept while the block runs, and after it unless ``cache`` is False.

    Raises:
        ConfigError: the folder cannot be made, or several processes would share none.
    """
    if cache is False:
        if int(os.environ.get("WORLD_SIZE") or "1") > 1:
            raise ConfigError("several processes share embeddings on disk; give a cache folder")
        with tempfile.TemporaryDirectory(prefix="vlsuite-embeddings-") as folder:
            yield Path(folder)
        return
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "vlsuite" / "embeddings" if cache is None else Path(cache)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot keep embeddings in {folder}: {error.strerror or error}; give another folder "
            "(--cache DIR, or --no-cache; in Python cache=DIR or False)"
        ) from error
    yield folder


def _warn_of_training_shards(model: str, benchmarks: list[Benchmark]) -> None:
    """Say which data sets hold shards that the run behind the model was trained on."""
    if (found := patterns_of_run(model)) is None:
        return
    run, patterns = found
    datasets, subsets = opened_datasets(benchmarks), subsets_of_run(model)
    for line in trained_on_warnings(datasets, patterns, whose=run, subsets=subsets):
        print(printable(f"warning: {line}"), file=sys.stderr)


def _of_model(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of the model without its prefix, and all other options."""
    others = {key: value for key, value in options.items() if key.partition(".")[0] != "model"}
    own: dict[str, Any] = {}
    for key, value in options.items():
        if key == "model" and isinstance(value, Mapping):
            own |= value
        elif key not in others:
            own[key.removeprefix("model.")] = value
    return own, others


def _is_of_task(key: str, value: Any) -> bool:
    return "." in key or isinstance(value, Mapping)


def _task_options(values: Mapping[str, Any]) -> tuple[Any, ...]:
    """The options of tasks by group; imports the tasks of these groups alone."""
    kinds = {group: task_options.get(group) for group in (key.partition(".")[0] for key in values)}
    groups = make_dataclass("Groups", kinds.items(), frozen=True)
    chosen = apply_values(groups(**{group: kind() for group, kind in kinds.items()}), values)
    return tuple(getattr(chosen, group) for group in kinds)


def _companions(paths: Mapping[str, tuple[str, ...]], *, split: str) -> Companions:
    opened = {
        key: tuple(
            open_companion(path, split=split, task="zero_shot" if key == "base" else "images")
            for path in paths.get(key, ())
        )
        for key in _DATA_BESIDE
    }
    for key in ("bank", "backgrounds"):
        if len(opened[key]) > 1:
            raise ConfigError(f"option {key} takes one data set, not {len(opened[key])}")
    return Companions(
        ood=opened["ood"],
        bases=opened["base"],
        bank=next(iter(opened["bank"]), None),
        backgrounds=next(iter(opened["backgrounds"]), None),
    )


def _templates(given: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    if isinstance(given, str):
        return (given,) if "{c}" in given else templates_from(given)
    listed = tuple(given)
    wrong = [template for template in listed if "{c}" not in template]
    if wrong or not listed:
        raise EvaluationError(
            f"template {wrong[0]!r} has no {{c}} for the class name" if wrong else "no templates"
        )
    return listed


@contextmanager
def _class_names_file(given: Names | None) -> Iterator[str | None]:
    """Names in a file while the block runs; a name of a file or of a known list stays as it is."""
    if given is None or isinstance(given, str | PathLike):
        yield None if given is None else os.fspath(given)
        return
    listed = names(given, "class_names")
    if not listed or any("\n" in name or not name.strip() for name in listed):
        raise ConfigError("class_names: give one name a class, none of them empty or of two lines")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "class-names.txt"
        path.write_text("\n".join((*listed, "")), encoding="utf-8")
        yield str(path)


def _cache_for(model: Any, cache: Cache) -> Cache:
    """An object of one's own may keep its fingerprint while its weights change."""
    return False if cache is None and not isinstance(model, str | PathLike) else cache


def _launched_device() -> torch.device | None:
    """Join the other processes where torchrun or srun started several; None for a single one."""
    if int(os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS") or "1") == 1:
        return None
    return start_distributed().device


def _refuse_other_objects(model: Any) -> None:
    """Say at once everything that a model of one's own lacks."""
    embeds = any(hasattr(model, name) for name in ("embed_images", "embed_texts"))
    wanted = dir(EmbeddingModel if embeds else Model)
    lacks = [n for n in wanted if not n.startswith("_") and not hasattr(model, n)]
    if lacks:
        raise ConfigError(
            f"{type(model).__name__} cannot be evaluated, it has no {', '.join(lacks)}; see "
            "eval.contract, or give the name of a model"
        )
