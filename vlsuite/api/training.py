"""Training runs: begun or continued, from a recipe's name or a config of one's own."""

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from data_pipelines.printable import printable
from data_pipelines.settings import apply_overrides, differences
from vlsuite.api.run import Run
from vlsuite.api.setting_values import apply_values
from vlsuite.api.several import folder as own_folder
from vlsuite.api.several import names
from vlsuite.batches.stream import PairShards
from vlsuite.engine import train_loop
from vlsuite.engine.absolute_paths import with_absolute_paths
from vlsuite.engine.config import TrainConfig
from vlsuite.engine.distributed import start_distributed
from vlsuite.engine.peers import peers_lost_as_error
from vlsuite.engine.run_folder import RunFolder
from vlsuite.engine.state import TrainState
from vlsuite.errors import ConfigError
from vlsuite.export.run_changes import unrecorded
from vlsuite.recipes import registry

#: What the folder of a run calls a config that is no recipe's.
CUSTOM = "custom"

Resume = bool | Literal["auto"]
Paths = str | PathLike | Iterable[str | PathLike]


def train(
    config: TrainConfig | str | None = None,
    /,
    *overrides: str,
    data: Paths | Mapping[str, Any] = (),
    out: str | PathLike | None = None,
    resume: Resume = False,
    **values: Any,
) -> Run:
    """Train to the end, in this process or, under torchrun or srun, in all of them together.

    Logs go to standard error and to the run folder. SIGTERM and SIGUSR1 save the run and stop it.

    Args:
        config: a recipe's name, or what ``vlsuite.recipe`` gives; None with ``resume`` for what
            the folder holds.
        overrides: as behind ``--set`` of the command line: "optim.lr=1e-3".
        data: training shards, one path or several; or settings of the group "data".
        out: run folder; by default runs/RECIPE, for a config of one's own it must be given.
        resume: whether to continue the run in ``out``: False refuses one that is there, True
            wants one, "auto" continues it or begins. A recipe's name then stands for the stored
            settings; what differs from them is named and recorded.
        values: settings by name or group, as in ``vlsuite.recipe``.
    Returns:
        The run: its folder, last metrics, and ``model()``.
    Raises:
        ConfigError, DataError: settings or shards that no run can begin with.
        RunFolderError: the folder holds a run already, or none to resume, or cannot be written.
        TrainingStoppedError: the loss is not finite, or too many samples are unusable.
        StopRequestedError: a signal asked to stop; the run is saved.
        LostContactError: another process is gone; end this one too, with ``os._exit``, since
            leaving in the usual way waits for the lost one.

    Example::

        run = vlsuite.train("emoji", data="data/emoji/train", out="runs/first", duration="2epochs")
        print(run.metrics["loss"])
        model = run.model()
    """
    if isinstance(data, Mapping):
        values = {"data": data, **values}
    elif found := names(data, "data"):
        if "" in found:
            raise ConfigError("data names an empty path; give folders or patterns of shards")
        values = {"data.train": list(found), **values}
    return plan(config, overrides, values, out=out, resume=resume).carry_out()


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRun:
    """A run that has not started.

    Attributes:
        recipe: its name in the run folder.
        config: all settings.
        folder: where it goes.
        continues: whether the folder holds its beginning.
        changes: settings that differ from those it ran with last: old and new value by dotted key.
    """

    recipe: str
    config: TrainConfig
    folder: RunFolder
    continues: bool = False
    changes: Mapping[str, tuple[Any, Any]]

    def carry_out(self) -> Run:
        """Train to the end; every process of the run calls.

        Raises:
            UserError: see ``train``.
        """
        if not self.config.data.train:
            raise ConfigError(
                f"recipe '{self.recipe}' needs shards: --set data.train=DIR (in Python data=DIR)"
            )
        state = self._train()
        return Run(
            folder=self.folder.path,
            step=state.step,
            samples_seen=state.samples_seen,
            config=self.config,
        )

    def _claim(self, step: int) -> None:
        """Record the run, or which settings of it change from this step on, and say these."""
        if not self.continues:
            self.folder.create(self.recipe, self.config)
            return
        self.folder.change(self.recipe, self.config, self.changes, step=step)
        if (remark := unrecorded(self.folder.stored_environment())) is not None:
            print(f"warning: {remark}", file=sys.stderr)
        for key, (old, new) in self.changes.items():
            print(printable(f"changed from step {step} on: {key}: {old} -> {new}"), file=sys.stderr)

    def _train(self) -> TrainState:
        config = self.config
        config.model.check()
        config.model.check_batch(config.global_batch_size)
        evaluators = _evaluators(config)
        _check_data(config)
        if not self.continues:
            # Every process looks before it joins the others, the first one writes after that.
            self.folder.refuse_existing_run()
        ctx = start_distributed(threads=config.threads, timeout=config.stall_timeout)
        is_tried = ctx.is_first and not self.continues
        with self.folder.tried() if is_tried else nullcontext():
            with peers_lost_as_error(ctx.world_size):
                ctx.barrier()
            return train_loop.train(config, ctx, self.folder, evaluators, claim=self._claim)


def plan(
    config: TrainConfig | str | None,
    overrides: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
    *,
    out: str | PathLike | None,
    resume: Resume,
) -> PlannedRun:
    """Decide what a run is, without starting it.

    Args:
        config, overrides, values, out, resume: see ``train``.
    Raises:
        UnknownNameError: no such recipe.
        ConfigError: an unknown setting or an impossible value, or neither a config nor a folder.
        RunFolderError: nothing to resume, or a run of another recipe.
    """
    if resume not in (False, True, "auto"):
        raise ConfigError(f"resume={resume!r}: give False, True or 'auto'")
    folder = RunFolder(_folder(config, out))
    continues = resume is True or (resume == "auto" and folder.config.exists())
    recipe, base = _base(config, folder, continues=continues)
    start = config if isinstance(config, TrainConfig) else base
    changed = with_absolute_paths(apply_values(apply_overrides(start, overrides), values or {}))
    return PlannedRun(
        recipe=recipe,
        config=changed,
        folder=folder,
        continues=continues,
        changes=differences(with_absolute_paths(base), changed) if continues else {},
    )


def _folder(config: TrainConfig | str | None, out: str | PathLike | None) -> Path:
    if out is None and not isinstance(config, str):
        raise ConfigError("no run folder: name one with out=, for example out='runs/first'")
    return Path("runs", str(config)) if out is None else own_folder(out, "out")


def _base(
    config: TrainConfig | str | None, folder: RunFolder, *, continues: bool
) -> tuple[str, TrainConfig]:
    """A run's name in its folder, and the settings that changes are told against."""
    if isinstance(config, str):
        return config, folder.stored_config(config) if continues else registry.get(config)()
    if continues:
        recipe = folder.stored_recipe()
        return recipe, folder.stored_config(recipe)
    if config is None:
        raise ConfigError(
            f"nothing to train: name a recipe ({', '.join(registry.names())}), or give a config, "
            "or resume a run"
        )
    return CUSTOM, config


def _check_data(config: TrainConfig) -> None:
    """Fail on missing shards and uneven batches before any process waits for another."""
    PairShards.open(config.data)
    config.micro_batch_of(int(os.environ.get("WORLD_SIZE", "1")))


def _evaluators(config: TrainConfig) -> list[Callable[[Any], list[dict[str, Any]]]]:
    """Evaluators of the config's validation data, returning plain dictionaries."""
    if not config.validation.data:
        return []
    from eval.class_answers import without_answers
    from eval.running.validation import make_evaluators
    from eval.task_choices import TaskChoices

    made = make_evaluators(
        config.validation.data,
        choices=TaskChoices(num_examples=config.validation.examples),
        subsets=config.validation.subset,
        batch_size=config.validation.batch_size,
    )
    if os.environ.get("RANK", "0") == "0":
        from vlsuite.api.training_shards import trained_on_warnings

        datasets = [evaluator.dataset for evaluator in made]
        data = config.data
        for line in trained_on_warnings(
            datasets, data.train, whose="this run", subsets=data.subset
        ):
            print(printable(f"warning: {line}"), file=sys.stderr)

    def as_plain(evaluator: Any) -> Callable[[Any], list[dict[str, Any]]]:
        return lambda model: [without_answers(result).to_dict() for result in evaluator(model)]

    return [as_plain(evaluator) for evaluator in made]
