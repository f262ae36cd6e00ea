"""Keeps parameters that are marked so in fp32 under bf16 and fp16 (see vlsuite.layers).

DeepSpeed casts every parameter of a module, then asks for the optimizer, then flattens the
parameters of each group, which must have one type. So the marked ones are a group of their own
(``parameter_groups``), and get their fp32 values back at the moment DeepSpeed asks. Their masters
are then copies of what the forward pass computes with, to the last bit. Gradients are summed over
processes in the type of the others, as DeepSpeed sums all of them in one.

ZeRO 3 lays the slices of all groups into one buffer of one type: there it cannot be done.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from vlsuite.errors import ConfigError
from vlsuite.layers.full_precision import is_full_precision


def optimizer_that_keeps_fp32(
    module: nn.Module, optimizer: Optimizer, settings: Mapping[str, Any]
) -> Optimizer | Callable[[Any], Optimizer]:
    """What to give to DeepSpeed as optimizer of a module that it has not cast yet.

    Args:
        settings: DeepSpeed's.
    Raises:
        ConfigError: ZeRO 3 in bf16 or fp16, of a module with such parameters.
    """
    marked = {n: p for n, p in module.named_parameters() if is_full_precision(p)}
    precision = next((p for p in ("bf16", "fp16") if settings[p]["enabled"]), None)
    if not marked or precision is None:
        return optimizer
    if settings.get("zero_optimization", {}).get("stage", 0) == 3:
        raise ConfigError(
            f"deepspeed=zero3 with precision={precision} cannot keep '{min(marked)}' in fp32, as "
            "that layer demands; take deepspeed=zero2 (or zero1), or precision=fp32"
        )
    values = {name: p.detach().to(torch.float32, copy=True) for name, p in marked.items()}

    def restored(_: Any) -> Optimizer:
        for name, parameter in marked.items():
            parameter.data = values[name].to(parameter.device)
        return optimizer

    return restored
