"""How one run of the study is trained: the common start, and a method from there."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eval.studies.noise.grid import Cell, StudyConfig, Trial
from eval.studies.noise.methods import METHODS
from eval.studies.noise.sets import StudySets
from eval.studies.training import train_anew
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.transforms import AugmentConfig
from vlsuite.engine.config import CheckpointConfig, LoggingConfig, TrainConfig, ValidationConfig
from vlsuite.engine.duration import Duration
from vlsuite.engine.optim import OptimConfig
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.dual_encoder.token_selection_config import TokenSelectionConfig

#: What the runs of the study call their recipe.
RECIPE = "noise-study"
_WARMUP_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class StudyFolders:
    """Where everything of a study lies.

    Args:
        out: of the study.
    """

    out: Path

    @property
    def sets(self) -> StudySets:
        """The data."""
        return StudySets(self.out / "sets")

    @property
    def tokenizer(self) -> Path:
        """Made from the pretraining captions."""
        return self.out / "tokenizer"

    def pretrained(self, seed: int) -> Path:
        """Run folder of the first stage."""
        return self.out / "pretrained" / f"seed{seed}"

    def cell(self, cell: Cell) -> Path:
        """Folder of a run."""
        return self.out / "cells" / cell.name

    def start(self, cell: Cell) -> Path:
        """What the common start knows of a noisy set and of the test set."""
        return self.out / "starts" / f"{round(100 * cell.rate):02d}-seed{cell.seed}.npz"

    def trial(self, trial: Trial) -> Path:
        """Folder of a run that a learning rate is chosen by."""
        return self.out / "tuning" / trial.name


def pretrain(config: StudyConfig, folders: StudyFolders, seed: int) -> None:
    """Train the towers that all methods of a seed start from, with InfoNCE and without noise."""
    run = TrainConfig(
        model=OpenClipConfig(name=config.architecture, tokenizer=str(folders.tokenizer)),
        data=_data(folders.sets.pretrain),
        optim=OptimConfig(lr=config.pretrain_lr, warmup_steps=50),
        duration=Duration(f"{config.pretrain_epochs}epochs"),
        **_shared(config, seed),
    )
    train_anew(run, folders.pretrained(seed), [], recipe=RECIPE)


def run_config(config: StudyConfig, folders: StudyFolders, cell: Cell, *, lr: float) -> TrainConfig:
    """A method on its noisy set, from the common start.

    An oracle is shown the pairs that the noise leaves alone, as many samples as the others see.
    """
    method = METHODS[cell.method]
    noisy = folders.sets.noisy(cell.rate, cell.seed, clean_only=False)
    shown = folders.sets.noisy(cell.rate, cell.seed, clean_only=method.clean_only)
    samples = int(config.epochs * folders.sets.count(noisy))
    epoch = steps_of_epoch(config, folders, cell)
    return TrainConfig(
        model=replace(
            _start_model(config, folders, cell.seed),
            token_selection=TokenSelectionConfig(
                width=config.token_width if method.token_selection else 0
            ),
        ),
        data=_data(shown),
        objective=method.objective(),
        optim=OptimConfig(
            lr=lr,
            warmup_steps=int(_WARMUP_SHARE * samples / config.batch_size),
            new_lr_factor=config.new_lr_factor,
        ),
        duration=Duration(f"{samples}samples"),
        validation=ValidationConfig(every=Duration(f"{epoch}steps")),
        **_shared(config, cell.seed),
    )


def steps_of_epoch(config: StudyConfig, folders: StudyFolders, cell: Cell) -> int:
    """Whole steps in a pass over the noisy pairs, one at least."""
    noisy = folders.sets.noisy(cell.rate, cell.seed, clean_only=False)
    return max(1, int(folders.sets.count(noisy) / config.batch_size))


def _start_model(config: StudyConfig, folders: StudyFolders, seed: int) -> OpenClipConfig:
    if not config.pretrain_share:
        return OpenClipConfig(name=config.architecture, tokenizer=str(folders.tokenizer))
    # Scales grow while a model is trained, and a large one makes wrong pairs costly from the
    # first step: each objective begins with its own.
    export = folders.pretrained(seed) / "export"
    return OpenClipConfig(name=f"local-dir:{export}", keep_logit_scale=False)


def _data(shards: Path) -> DataConfig:
    return DataConfig(
        train=(str(shards),),
        num_workers=0,
        caption="first",
        augment=AugmentConfig(crop_scale=(0.75, 1.0), flip_probability=0.5),
    )


def _shared(config: StudyConfig, seed: int) -> dict[str, Any]:
    return {
        "global_batch_size": config.batch_size,
        "seed": seed,
        "threads": config.threads,
        "logging": LoggingConfig(every=Duration("50steps")),
        "checkpoint": CheckpointConfig(every=Duration("1e9samples"), keep=1),
    }
