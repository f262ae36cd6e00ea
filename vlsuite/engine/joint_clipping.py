"""One norm for all gradients: those of the model, in the engine, and those of the objective.

open_clip keeps its logit scale (and bias) in the model, so ``clip_grad_norm_`` over the model's
parameters counts and cuts them too (src/open_clip_train/train.py). Ours stand outside the engine,
the same on every process: ZeRO has nothing to divide in them, and needs a parameter for each
process. So the engine is told the joint norm at the moment it cuts its own gradients, under every
ZeRO stage and precision, and the objective's gradients are cut by the same factor.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

_EPSILON = 1e-6  # of torch.nn.utils.clip_grad_norm_ and of DeepSpeed


class JointClipping:
    """Makes an engine clip by the norm of its own and the objective's gradients.

    Args:
        engine: of DeepSpeed, made with a positive "gradient_clipping".
        parameters: of the objective; their gradients must be complete, unscaled and the same on
            every process when the engine makes its update.
        max_norm: that all gradients together are cut to.
    """

    def __init__(self, engine: Any, parameters: Iterable[nn.Parameter], *, max_norm: float) -> None:
        self._parameters = tuple(parameters)
        self._max_norm = max_norm
        self._norm: Tensor | None = None
        optimizer = engine.optimizer
        if hasattr(optimizer, "unscale_and_clip_grads"):
            self._original = optimizer.unscale_and_clip_grads
            self._optimizer = optimizer
            optimizer.unscale_and_clip_grads = self._with_joint_norm
        else:
            self._module = engine.module
            engine.clip_fp32_gradients = self._cut_plain

    @torch.no_grad()
    def cut_objective(self) -> None:
        """Cut the objective's gradients as the engine cut its own in the update just made."""
        assert self._norm is not None, "the engine made no update"
        factor = self._factor(self._norm)
        for gradient in self._gradients():
            gradient.mul_(factor.to(gradient.device))
        self._norm = None

    def _with_joint_norm(self, *args: Any, **options: Any) -> Any:
        """In place of the optimizer's method: the norm of scaled gradients is its last argument."""
        *others, scaled = args
        scale = loss_scale(self._optimizer)
        norm = torch.as_tensor(scaled, dtype=torch.float32) / scale
        if bool(torch.isfinite(norm)) and float(norm) >= 0:  # DeepSpeed marks invalid ones by -1
            self._norm = self._joint(norm)
            scaled = self._norm * scale
        return self._original(*others, scaled, **options)

    def _cut_plain(self) -> None:
        """In place of the engine's method, of ZeRO stage 0 in fp32."""
        gradients = [p.grad for p in self._module.parameters() if p.grad is not None]
        norms = torch.stack([torch.linalg.vector_norm(g, dtype=torch.float32) for g in gradients])
        self._norm = self._joint(torch.linalg.vector_norm(norms))
        factor = self._factor(self._norm)
        for gradient in gradients:
            gradient.mul_(factor)

    def _joint(self, norm: Tensor) -> Tensor:
        own = [g.detach().float().square().sum().to(norm.device) for g in self._gradients()]
        return torch.sqrt(norm.square() + sum(own, start=torch.zeros_like(norm)))

    def _factor(self, norm: Tensor) -> Tensor:
        return (self._max_norm / (norm + _EPSILON)).clamp(max=1.0)

    def _gradients(self) -> list[Tensor]:
        return [p.grad for p in self._parameters if p.grad is not None]


def loss_scale(optimizer: Any) -> float:
    """What a DeepSpeed optimizer multiplies losses by, 1 where it does not."""
    if hasattr(optimizer, "loss_scale_config"):  # stage 0 in half precision
        return float(optimizer.loss_scale_config.cur_scale)
    return float(getattr(optimizer, "loss_scale", 1.0))
