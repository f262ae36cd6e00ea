"""A NEVLP model as a checkpoint of its run holds it, without a training engine."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import torch

from vlsuite.engine.checkpoint import Progress, check_matches, damage_of, load_checkpoint
from vlsuite.engine.run_folder import RunFolder
from vlsuite.engine.stored_model import checkpoint_of
from vlsuite.errors import CheckpointError
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.nevlp.config import (
    CONCEPTS,
    DESCRIPTION,
    IMAGE_TOWER,
    LANGUAGE_MODEL,
    BuiltNevlp,
    NevlpConfig,
)


class StoredNevlp(NamedTuple):
    """A model with the weights of a checkpoint, in fp32 on the CPU.

    Attributes:
        built: its encoder holds the weights.
        logit_scale: the multiplier itself.
        progress: how far the run was.
    """

    built: BuiltNevlp
    logit_scale: float
    progress: Progress


def is_nevlp_run(folder: RunFolder) -> bool:
    """Whether the run in the folder trains a NEVLP model."""
    return isinstance(folder.stored_config(folder.stored_recipe()).model, NevlpConfig)


def load_stored_nevlp(folder: RunFolder, *, step: int | None = None) -> StoredNevlp:
    """Build a run's model with the weights of its newest checkpoint, or of a given step.

    The frozen parts are taken from where training took them, or from the run's export where they
    are no longer there; their weights then come from the checkpoint in any case.

    Raises:
        RunFolderError: no readable config in the folder.
        CheckpointError: no such checkpoint, or it does not fit the config.
        ModelError, DataError: a frozen part cannot be loaded.
    """
    config = folder.stored_config(folder.stored_recipe())
    path = checkpoint_of(folder, step)
    if damage := damage_of(path):
        raise CheckpointError(f"checkpoint {path} is damaged: {damage}; choose another --step")
    checkpoint = load_checkpoint(path)
    built = _with_parts_at_hand(config.model, folder.export).build()
    named = dict(built.encoder.named_parameters())
    check_matches(path, checkpoint.masters, {name: p.shape for name, p in named.items()})
    objective = config.objective.build()
    with torch.no_grad():
        for name, parameter in named.items():
            parameter.copy_(checkpoint.masters[name].weight)
        for name, buffer in built.encoder.named_buffers():
            if name in checkpoint.buffers:
                buffer.copy_(checkpoint.buffers[name])
        for name, parameter in objective.named_parameters():
            parameter.copy_(checkpoint.objective[name])
    return StoredNevlp(built, objective.logit_scale, checkpoint.progress)


def _with_parts_at_hand(config: NevlpConfig, export: Path) -> NevlpConfig:
    """The config, each frozen part that is gone from its folder replaced by the export's copy."""
    if not (export / DESCRIPTION).is_file():
        return config
    changes = {}
    place = config.image_tower.name.removeprefix("local-dir:")
    if config.image_tower.name.startswith("local-dir:") and not Path(place).is_dir():
        changes["image_tower"] = OpenClipConfig(name=f"local-dir:{export / IMAGE_TOWER}")
    if "/" in config.language_model and not Path(config.language_model).is_dir():
        changes["language_model"] = str(export / LANGUAGE_MODEL)
    if config.concepts is not None and not Path(config.concepts).is_file():
        changes["concepts"] = str(export / CONCEPTS)
    return dataclasses.replace(config, **changes)
