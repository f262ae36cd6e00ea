"""AdamW over the towers, and the learning rate as a pure function of the step."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from vlsuite.errors import ConfigError
from vlsuite.layers.full_precision import is_full_precision, is_never_decayed

#: Which weights are decayed; see ``OptimConfig.decayed``.
DecayRule = Literal["open_clip", "matrices"]

_NOT_DECAYED = ("bn", "ln", "bias")


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimConfig:
    """AdamW (Loshchilov and Hutter 2019) and its schedule.

    Attributes:
        lr: peak learning rate.
        betas: decay rates of the first and second moment. open_clip uses 0.9, 0.98 for ViT
            and 0.9, 0.999 for ResNet.
        eps: added to the root of the second moment; 1e-6 for ViT in open_clip.
        weight_decay: decoupled; never on the logit scale.
        decayed: which weights it acts on. "open_clip": by its rule, those of two or more axes
            without "bn", "ln" or "bias" in their names (Swin's relative_position_bias_table and
            T5's relative_attention_bias are left out). "matrices": all of two or more axes, as in
            runs that began before there was this setting. Position and word embeddings and timm's
            class tokens are decayed by either rule; timm's own no_weight_decay lists are not
            followed, nor does open_clip follow them. By neither: parameters marked so, which are
            A_log, D and the step bias of Mamba layers.
        schedule: "cosine" to zero, "constant", or "rsqrt" (inverse square root of the step).
        warmup_steps: linear from zero.
        final_lr_share: share of ``lr`` that "cosine" ends at.
        cooldown_steps: linear to zero over the last steps ("constant" and "rsqrt").
        new_lr_factor: rate of layers that pretrained weights do not cover (those of
            model.token_selection) as a multiple of ``lr``; 100 in RDE's fine-tuning of CLIP.
        grad_clip_norm: global norm that all gradients together are cut to; None for no clipping.
        clip_objective: the gradients of the objective's own parameters (logit scale and bias)
            count in that norm and are cut with the others, as open_clip does. Off: those of the
            model alone, as in runs that began before there was this setting.
    """

    lr: float = 5e-4
    betas: tuple[float, ...] = (0.9, 0.98)
    eps: float = 1e-6
    weight_decay: float = 0.2
    decayed: DecayRule = "open_clip"
    schedule: Literal["cosine", "constant", "rsqrt"] = "cosine"
    warmup_steps: int = 2000
    final_lr_share: float = 0.0
    cooldown_steps: int = 0
    new_lr_factor: float = 1.0
    grad_clip_norm: float | None = 1.0
    clip_objective: bool = True

    def __post_init__(self) -> None:
        if self.lr <= 0:
            raise ConfigError(f"optim.lr={self.lr} must be positive")
        if self.new_lr_factor <= 0:
            raise ConfigError(f"optim.new_lr_factor={self.new_lr_factor} must be positive")
        if len(self.betas) != 2 or not all(0 <= b < 1 for b in self.betas):
            raise ConfigError(f"optim.betas={self.betas} must be two numbers in [0, 1)")
        if self.schedule == "cosine" and self.cooldown_steps:
            raise ConfigError("optim.cooldown_steps has no meaning under schedule=cosine; unset it")
        if self.grad_clip_norm is not None and self.grad_clip_norm <= 0:
            raise ConfigError("optim.grad_clip_norm must be positive; 'none' turns clipping off")


def learning_rate(config: OptimConfig, step: int, *, total_steps: int) -> float:
    """Rate for the update that follows ``step`` finished updates.

    Equal to open_clip's schedules: the first warm-up update uses lr / warmup_steps.

    Args:
        step: 0 to total_steps - 1.
    """
    warmup = min(config.warmup_steps, total_steps)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    if config.schedule == "cosine":
        progress = (step - warmup) / max(1, total_steps - warmup)
        floor = config.final_lr_share
        return config.lr * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))
    rate = config.lr
    if config.schedule == "rsqrt":
        rate *= math.sqrt(max(1, warmup) / (step + 1))
    remaining = total_steps - step
    return rate * min(1.0, remaining / config.cooldown_steps) if config.cooldown_steps else rate


def build_optimizer(
    config: OptimConfig,
    module: nn.Module,
    *,
    offload: bool,
    is_new: Callable[[str], bool] = lambda name: False,
) -> Optimizer:
    """AdamW with weight decay on some of the weights.

    Its learning rate is 0 until :func:`set_learning_rate`, since some of DeepSpeed's wrappers
    make an update with zero gradients at the start, which would decay the weights.

    Args:
        offload: optimizer states live in host memory; DeepSpeed then needs its own CPU Adam.
        is_new: whether a parameter, by name, has no pretrained counterpart.
    Raises:
        ConfigError: nothing is left to train.
    """
    groups = parameter_groups(
        module.named_parameters(),
        weight_decay=config.weight_decay,
        rule=config.decayed,
        new_lr_factor=config.new_lr_factor,
        is_new=is_new,
    )
    if not groups:
        raise ConfigError(
            "every weight of the model is frozen; unset what freezes it (model.lock_image, "
            "model.lock_text)"
        )
    if offload:
        from deepspeed.ops.adam import DeepSpeedCPUAdam

        return DeepSpeedCPUAdam(
            groups, lr=0.0, betas=tuple(config.betas), eps=config.eps, adamw_mode=True
        )
    beta1, beta2 = config.betas
    return torch.optim.AdamW(groups, lr=0.0, betas=(beta1, beta2), eps=config.eps, fused=True)


def parameter_groups(
    named: Iterable[tuple[str, nn.Parameter]],
    *,
    weight_decay: float,
    rule: DecayRule = "open_clip",
    new_lr_factor: float = 1.0,
    is_new: Callable[[str], bool] = lambda name: False,
) -> list[dict]:
    """Trainable parameters, decayed and not (gains, biases; see ``is_decayed``).

    Where ``new_lr_factor`` is not 1, layers without pretrained weights are groups of their own;
    and parameters that stay fp32 are, the last, since DeepSpeed takes the type of the first for
    that of the model.
    """
    groups: dict[tuple[bool, bool, float], list[nn.Parameter]] = {}
    for name, parameter in named:
        if parameter.requires_grad:
            factor = new_lr_factor if is_new(name) else 1.0
            decays = is_decayed(name, parameter, rule)
            key = (is_full_precision(parameter), not decays, factor)
            groups.setdefault(key, []).append(parameter)
    return [
        {
            "params": groups[fp32, plain, factor],
            "weight_decay": 0.0 if plain else weight_decay,
            "lr_factor": factor,
        }
        for fp32, plain, factor in sorted(groups)
    ]


def is_decayed(name: str, parameter: nn.Parameter, rule: DecayRule = "open_clip") -> bool:
    """Whether weight decay acts on a parameter.

    open_clip's rule was read from src/open_clip_train/main.py: a parameter is left out where
    ``p.ndim < 2 or "bn" in n or "ln" in n or "bias" in n``, or it is the logit scale. By either
    rule a parameter is left out that is marked so (``_no_weight_decay``, as mamba-ssm marks its
    own: decays of a state, which weight decay would draw to one value).
    """
    if parameter.ndim < 2 or is_never_decayed(parameter):
        return False
    return rule == "matrices" or not any(part in name for part in _NOT_DECAYED)


def set_learning_rate(optimizer: Any, rate: float) -> None:
    """Use ``rate``, times the factor of each group, in a torch or DeepSpeed optimizer."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_factor", 1.0)
