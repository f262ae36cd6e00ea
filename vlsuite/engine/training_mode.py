"""In which mode each part of a model is while it trains."""

from typing import Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

#: Mode of parts whose weights are all frozen; see ``TrainConfig.frozen_parts``.
FrozenMode = Literal["evaluation", "training"]


def set_training_mode(module: nn.Module, *, frozen: FrozenMode) -> None:
    """Put a model into training mode, whatever mode its parts arrived in.

    Args:
        frozen: "evaluation" leaves parts without a trainable weight in evaluation mode: their
            batch statistics stand still and their dropout is off, so that they stay what they
            were. "training" is what open_clip does with ``--lock-image`` alone.
    """
    module.train()
    if frozen == "evaluation":
        _still(module)


def has_batch_norm(module: nn.Module) -> bool:
    """Whether a part that trains normalises by the statistics of its batch."""
    return any(isinstance(part, _BatchNorm) and part.training for part in module.modules())


def batch_norm_remark(
    module: nn.Module, *, world_size: int, accumulates: bool, is_joint: bool
) -> str | None:
    """What a person should know about a training model with batch norm; None: nothing.

    Args:
        accumulates: a process splits its share of a batch.
        is_joint: batch norm joins the samples of all processes (``sync_batch_norm``).
    """
    splits = [
        *(["the number of processes (sync_batch_norm=true joins them)"] if not is_joint else []),
        *(["micro_batch_size"] if accumulates else []),
    ]
    matters = accumulates or (world_size > 1 and not is_joint)
    if not matters or not has_batch_norm(module):
        return None
    return (
        "the model has batch norm, whose statistics are those of one forward pass: its loss "
        f"depends on {' and on '.join(splits)}"
    )


def _still(module: nn.Module) -> None:
    weights = list(module.parameters())
    if weights and not any(weight.requires_grad for weight in weights):
        module.eval()
        return
    for part in module.children():
        _still(part)
