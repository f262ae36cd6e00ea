"""The model of a run as one of its checkpoints holds it, without a training engine."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from vlsuite.engine.checkpoint import (
    Checkpoint,
    Progress,
    check_matches,
    damage_of,
    list_checkpoints,
    load_checkpoint,
    step_of,
)
from vlsuite.engine.run_folder import RunFolder
from vlsuite.engine.state import persistent_buffers
from vlsuite.errors import CheckpointError
from vlsuite.models.family import TrainableModel
from vlsuite.objectives.objective import Objective


class StoredModel(NamedTuple):
    """A model with the weights of a checkpoint, in fp32 on the CPU.

    Attributes:
        built: its module holds the weights.
        scalars: of the objective, as they were.
        progress: how far the run was.
    """

    built: TrainableModel
    scalars: Mapping[str, float]
    progress: Progress


def load_stored_model(folder: RunFolder, *, step: int | None = None) -> StoredModel:
    """Build a run's model with the weights of its newest checkpoint, or of a given step.

    What training started from (pretrained weights, a tokenizer's folder) need not be there.

    Raises:
        RunFolderError: no readable config in the folder.
        CheckpointError: no such checkpoint, or it does not fit the config.
        ModelError, DataError: a part of the model cannot be built or loaded.
    """
    config = folder.stored_config(folder.stored_recipe())
    path = checkpoint_of(folder, step)
    if damage := damage_of(path):
        raise CheckpointError(f"checkpoint {path} is damaged: {damage}; choose another --step")
    checkpoint = load_checkpoint(path)
    built: TrainableModel = config.model.rebuild(folder.export)
    _load_weights(built, checkpoint, path)
    objective: Objective = config.objective.build()
    with torch.no_grad():
        for name, parameter in objective.named_parameters():
            parameter.copy_(checkpoint.objective[name])
    return StoredModel(built, objective.scalars(), checkpoint.progress)


def checkpoint_of(folder: RunFolder, step: int | None) -> Path:
    """The newest checkpoint of a run, or that of a given step.

    Raises:
        CheckpointError: there is none.
    """
    paths = list_checkpoints(folder.checkpoints)
    found = {step_of(path): path for path in paths}
    if not found:
        raise CheckpointError(
            f"no complete checkpoint in {folder.checkpoints}; continue the run with --resume (what "
            f"a finished run left in {folder.export} loads as it is)"
        )
    wanted = max(found) if step is None else step
    if wanted not in found:
        raise CheckpointError(
            f"no checkpoint of step {wanted} in {folder.checkpoints}; there are: "
            f"{', '.join(map(str, sorted(found)))} (checkpoint.keep sets how many stay)"
        )
    return found[wanted]


@torch.no_grad()
def _load_weights(built: TrainableModel, checkpoint: Checkpoint, path: Path) -> None:
    named = dict(built.module.named_parameters())
    buffers = persistent_buffers(built.module)
    check_matches(path, checkpoint.masters, {name: p.shape for name, p in named.items()})
    if missing := buffers.keys() - checkpoint.buffers.keys():
        raise CheckpointError(
            f"checkpoint {path} lacks '{min(missing)}'; it is of another model or version"
        )
    for name, parameter in named.items():
        parameter.copy_(checkpoint.masters[name].weight)
    for name, buffer in buffers.items():
        buffer.copy_(checkpoint.buffers[name])
