"""Models of a few thousand weights, built by the same path as real ones."""

import dataclasses
import json
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import open_clip
import torch

from data_pipelines.settings import apply_overrides
from vlsuite.batches.tokenizer import train_tokenizer
from vlsuite.engine.checkpoint import Progress, Snapshot, write_checkpoint
from vlsuite.engine.config import TrainConfig
from vlsuite.engine.run_folder import RunFolder
from vlsuite.models.dual_encoder.built import BuiltModel
from vlsuite.models.dual_encoder.clip import Clip
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.objectives.contrastive import ContrastiveObjective

CAPTIONS = (
    "a photo of a cat",
    "two dogs run on the grass",
    "it's a hat, 25 EUR!",
    "the quick brown fox jumps over the lazy dog",
)

ARCHITECTURE: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {
        "image_size": 16,
        "patch_size": 8,
        "layers": 2,
        "width": 32,
        "head_width": 16,
    },
    "text_cfg": {
        "context_length": 16,
        "vocab_size": 49408,
        "width": 32,
        "heads": 2,
        "layers": 2,
    },
}


class TinyModel(NamedTuple):
    """A model with random weights, and the Clip around it."""

    config: OpenClipConfig
    built: BuiltModel
    clip: Clip
    logit_bias: float | None


def register_architecture(folder: Path, name: str = "tiny-vit", **changes: Any) -> str:
    """Make a tiny ViT known to open_clip; ``vision_cfg`` and ``text_cfg`` are merged."""
    architecture = deepcopy(ARCHITECTURE)
    for key, value in changes.items():
        if isinstance(value, dict) and key in architecture:
            architecture[key] |= value
        else:
            architecture[key] = value
    path = folder / f"{name}.json"
    path.write_text(json.dumps(architecture))
    open_clip.add_model_config(path)
    return name


def tiny_tokenizer(folder: Path) -> str:
    """Folder of a byte-pair vocabulary of about a hundred words."""
    train_tokenizer(CAPTIONS, vocab_size=120, out_dir=folder, context_length=16)
    return str(folder)


def tiny_model(
    name: str,
    *,
    tokenizer: str | None = None,
    patch_dropout: float | None = None,
    logit_scale: float = 17.0,
    logit_bias: float | None = None,
    seed: int = 0,
) -> TinyModel:
    """A registered architecture in which every weight, bias and gain is random."""
    torch.manual_seed(seed)
    config = OpenClipConfig(name=name, tokenizer=tokenizer, patch_dropout=patch_dropout)
    built = config.build()
    with torch.no_grad():
        for parameter in built.encoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    clip = Clip(
        name,
        built,
        built.tokenizer,
        encode=built.encoder.eval(),
        logit_scale=logit_scale,
        logit_bias=logit_bias or 0.0,
        device=torch.device("cpu"),
    )
    return TinyModel(config, built, clip, logit_bias)


def tiny_run(path: Path, tiny: TinyModel, *, step: int, objective: str = "clip") -> RunFolder:
    """A run folder (made if need be) with a checkpoint that holds the model's weights."""
    folder = RunFolder(path)
    config = apply_overrides(TrainConfig(), [f"objective={objective}"])
    if not folder.config.exists():
        folder.create("test", dataclasses.replace(config, model=tiny.config))
    made: ContrastiveObjective = config.objective.build()
    made.set_logit_scale(tiny.clip.logit_scale, logit_bias=tiny.logit_bias)
    stored = {f"objective.{name}": p.detach() for name, p in made.named_parameters()}
    weights = {name: p.detach() for name, p in tiny.built.encoder.named_parameters()}
    progress = Progress(step=step, samples_seen=16 * step, loss_scale=None)
    write_checkpoint(folder.checkpoints, Snapshot(progress, weights, stored))
    return folder
