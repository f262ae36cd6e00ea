"""The model of a run as one of its checkpoints holds it, without a training engine."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import open_clip
import torch
from torch import Tensor

from vlsuite.engine.checkpoint import (
    Progress,
    check_matches,
    damage_of,
    list_checkpoints,
    load_checkpoint,
    step_of,
)
from vlsuite.engine.config import TrainConfig
from vlsuite.engine.run_folder import RunFolder
from vlsuite.errors import CheckpointError
from vlsuite.models.dual_encoder.config import BuiltModel, OpenClipConfig
from vlsuite.objectives.objective import Objective


class StoredModel(NamedTuple):
    """A model with the weights of a checkpoint, in fp32 on the CPU.

    Attributes:
        config: of the model.
        built: its encoder holds the weights.
        logit_scale: the multiplier itself.
        logit_bias: None for an objective without one.
        progress: how far the run was.
    """

    config: OpenClipConfig
    built: BuiltModel
    logit_scale: float
    logit_bias: float | None
    progress: Progress


def load_stored_model(folder: RunFolder, *, step: int | None = None) -> StoredModel:
    """Build a run's model with the weights of its newest checkpoint, or of a given step.

    Pretrained weights that training started from are not needed.

    Raises:
        RunFolderError: no readable config in the folder.
        CheckpointError: no such checkpoint, or it does not fit the config.
        ModelError: the architecture or its tokenizer cannot be built.
    """
    config = folder.stored_config(folder.stored_recipe())
    path = checkpoint_of(folder, step)
    if damage := damage_of(path):
        raise CheckpointError(f"checkpoint {path} is damaged: {damage}; choose another --step")
    checkpoint = load_checkpoint(path)
    built = build_without_pretrained(_with_own_tokenizer(config.model, folder))
    shapes = {name: value.shape for name, value in built.encoder.named_parameters()}
    check_matches(path, checkpoint.masters, shapes)
    weights = {n: s.weight for n, s in checkpoint.masters.items()} | checkpoint.buffers
    _load_weights(built, weights, path)
    objective = _objective_of(config, checkpoint.objective)
    return StoredModel(
        config=config.model,
        built=built,
        logit_scale=objective.logit_scale,
        logit_bias=objective.logit_bias or None,
        progress=checkpoint.progress,
    )


def build_without_pretrained(config: OpenClipConfig) -> BuiltModel:
    """The towers of a config with random weights, and the preprocessing of its pretrained ones."""
    if config.pretrained is None:
        return config.build()
    built = dataclasses.replace(config, pretrained=None).build()
    tag = open_clip.get_pretrained_cfg(config.name, config.pretrained)
    stored = {k: v for k, v in tag.items() if k in built.preprocess and k != "size"}
    return dataclasses.replace(built, preprocess=built.preprocess | stored)


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


def _with_own_tokenizer(config: OpenClipConfig, folder: RunFolder) -> OpenClipConfig:
    """The config, its tokenizer taken from the run's export where the original is gone."""
    name = "tokenizer.json"
    if config.tokenizer is None or (Path(config.tokenizer) / name).is_file():
        return config
    if not (folder.export / name).is_file():
        return config
    return dataclasses.replace(config, tokenizer=str(folder.export))


def _load_weights(built: BuiltModel, weights: dict[str, Tensor], path: Path) -> None:
    missing = built.encoder.state_dict().keys() - weights.keys()
    if missing:
        raise CheckpointError(
            f"checkpoint {path} lacks '{min(missing)}'; it is of another model or version"
        )
    built.encoder.load_state_dict(weights)


@torch.no_grad()
def _objective_of(config: TrainConfig, stored: dict[str, Any]) -> Objective:
    objective: Objective = config.objective.build()
    for name, parameter in objective.named_parameters():
        parameter.copy_(stored[name])
    return objective
