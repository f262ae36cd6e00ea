"""Batch normalisation over the samples of all processes, on any device.

``torch.nn.SyncBatchNorm`` wants a GPU. This computes the same (Ioffe and Szegedy 2015, arXiv
1502.03167, Algorithm 1, over the joined batch) by two differentiable sums over processes, so that
several processes equal one on the CPU too. Statistics are fp32 whatever the inputs are.

b = batch, c = channels, any = all other axes
"""

import torch
import torch.distributed as dist
from jaxtyping import Float
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm

from vlsuite.errors import ConfigError


def synchronise_batch_norms(module: nn.Module) -> int:
    """Let every batch norm inside use the samples of all processes; returns how many there are.

    The layers stay the same objects with the same weights and names.

    Raises:
        ConfigError: one of a kind that is not known here.
    """
    found = [part for part in module.modules() if isinstance(part, _BatchNorm)]
    for part in found:
        if isinstance(part, _Synchronised):
            continue
        if type(part) not in _SYNCHRONISED:
            raise ConfigError(
                f"sync_batch_norm does not know {type(part).__module__}.{type(part).__qualname__}; "
                "leave it out, or choose a model with torch's or timm's own batch norm"
            )
        part.__class__ = _SYNCHRONISED[type(part)]
    return len(found)


class _Synchronised(_BatchNorm):
    """Overrides how a batch norm normalises while it trains."""

    def normalised(self, x: Float[Tensor, "batch channels *any"]) -> Tensor:
        """Normalised by the statistics of all processes, which the running ones learn."""
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
        wide = x.float()
        local = torch.tensor(float(wide.numel() // wide.shape[1]), device=x.device)
        count = all_reduce(local.clone())
        mean = all_reduce(wide.sum(axes)) / count
        centred = wide - mean.reshape(shape)
        variance = all_reduce(centred.square().sum(axes)) / count
        self._learn(mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
        out = centred * torch.rsqrt(variance + self.eps).reshape(shape)
        if self.affine:
            out = out * self.weight.float().reshape(shape) + self.bias.float().reshape(shape)
        return out.to(x.dtype)

    @torch.no_grad()
    def _learn(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics as ``torch.nn.BatchNorm2d`` does (unbiased variance)."""
        if not self.track_running_stats or self.running_mean is None:
            return
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)

    @property
    def is_joint(self) -> bool:
        """Whether other processes' samples count now."""
        return self.training and dist.is_initialized() and dist.get_world_size() > 1


class _Synchronised1d(_Synchronised, nn.BatchNorm1d):
    def forward(self, x: Tensor) -> Tensor:
        return self.normalised(x) if self.is_joint else nn.BatchNorm1d.forward(self, x)


class _Synchronised2d(_Synchronised, nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return self.normalised(x) if self.is_joint else nn.BatchNorm2d.forward(self, x)


class _Synchronised3d(_Synchronised, nn.BatchNorm3d):
    def forward(self, x: Tensor) -> Tensor:
        return self.normalised(x) if self.is_joint else nn.BatchNorm3d.forward(self, x)


class _SynchronisedAct2d(_Synchronised, BatchNormAct2d):
    """timm's, with its activation."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.is_joint:
            return BatchNormAct2d.forward(self, x)
        drop: nn.Module = self.drop  # type: ignore[assignment]
        act: nn.Module = self.act  # type: ignore[assignment]
        return act(drop(self.normalised(x)))


_SYNCHRONISED: dict[type, type[_Synchronised]] = {
    nn.BatchNorm1d: _Synchronised1d,
    nn.BatchNorm2d: _Synchronised2d,
    nn.BatchNorm3d: _Synchronised3d,
    BatchNormAct2d: _SynchronisedAct2d,
}
