"""Parameters that stay fp32 and are never decayed, in models that compute in bf16 or fp16."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

_LOW = (torch.float16, torch.bfloat16)


class FullPrecision(nn.Module):
    """A module whose own parameters keep fp32 when a model around it is cast to bf16 or fp16.

    They are marked: ``_keep_fp32`` for the training engine, which casts parameters one by one, and
    ``_no_weight_decay`` (mamba-ssm's name) for the optimizer. Casts to fp64 are followed. Its
    ``forward`` must return tensors of its own, no parameters: ZeRO 3 takes those away afterwards.
    """

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """As in torch, marked."""
        if param is not None:
            mark_full_precision(param)
        super().register_parameter(name, param)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Copies are marked too: torch copies a parameter without its marks."""
        super().__setstate__(state)
        for parameter in self._parameters.values():
            if parameter is not None:
                mark_full_precision(parameter)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        def kept(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return tensor.to(moved.device) if moved.dtype in _LOW else moved

        return super()._apply(kept, recurse)


def mark_full_precision(parameter: nn.Parameter) -> None:
    """See ``FullPrecision``."""
    parameter._keep_fp32 = True  # type: ignore[attr-defined]
    parameter._no_weight_decay = True  # type: ignore[attr-defined]


def is_full_precision(parameter: nn.Parameter) -> bool:
    """Whether a parameter is marked to stay fp32."""
    return getattr(parameter, "_keep_fp32", False)


def is_never_decayed(parameter: nn.Parameter) -> bool:
    """Whether a parameter is marked to be left out of weight decay."""
    return getattr(parameter, "_no_weight_decay", False)
