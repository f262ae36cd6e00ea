"""fp32 master weights and Adam moments of a DeepSpeed engine, whole and by parameter name.

The same for every ZeRO stage, precision and number of processes, so a checkpoint made from it
can be resumed under any of them. All functions are collective: every process calls them.

DeepSpeed is imported in the functions, after ``start_distributed`` has told it the device: imported
before, it warns on standard output that it found no GPU.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

#: Adam's first and second moment, as torch names them.
MOMENTS = ("exp_avg", "exp_avg_sq")


class MasterState(NamedTuple):
    """One parameter in fp32 on the CPU; moments are empty before the first update."""

    weight: Tensor
    moments: dict[str, Tensor]


def iterate_master_state(engine: Any, *, moments: bool) -> Iterator[tuple[str, MasterState]]:
    """Name and state of every parameter of the towers, frozen ones without moments."""
    from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

    unpartitioned = _unpartitioned_masters(engine)
    for name, parameter in engine.module.named_parameters():
        wanted = MOMENTS if moments and parameter.requires_grad else ()
        if not parameter.requires_grad:
            yield name, MasterState(_frozen(parameter), {})
        elif id(parameter) in unpartitioned:
            master = unpartitioned[id(parameter)]
            stored = _torch_optimizer(engine).state.get(master, {})
            found = {key: _to_cpu(stored[key]) for key in wanted if key in stored}
            yield name, MasterState(_to_cpu(master), found)
        else:
            weight = safe_get_full_fp32_param(parameter)
            assert weight is not None, f"DeepSpeed keeps no fp32 master of {name}"
            found = {key: safe_get_full_optimizer_state(parameter, key) for key in wanted}
            found = {key: _to_cpu(value) for key, value in found.items() if value is not None}
            yield name, MasterState(_to_cpu(weight).reshape(_shape(parameter)), found)


@torch.no_grad()
def restore_master_state(engine: Any, state: dict[str, MasterState], *, step: int) -> None:
    """Put stored masters and moments back; the towers' own weights must be loaded already.

    Args:
        step: finished optimizer updates, which Adam's bias correction counts.
    """
    from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

    unpartitioned = _unpartitioned_masters(engine)
    for entry in _torch_optimizer(engine).state.values():
        counter = entry["step"]
        entry["step"] = torch.full_like(counter, step) if torch.is_tensor(counter) else step
    for name, parameter in engine.module.named_parameters():
        if not parameter.requires_grad:
            continue
        stored = state[name]
        if id(parameter) in unpartitioned:
            master = unpartitioned[id(parameter)]
            master.copy_(stored.weight)
            for key, value in stored.moments.items():
                _torch_optimizer(engine).state[master][key].copy_(value)
        elif hasattr(parameter, "ds_id"):
            _restore_stage3(parameter, stored)
        else:
            safe_set_full_fp32_param(parameter, stored.weight.to(parameter.device))
            for key, value in stored.moments.items():
                safe_set_full_optimizer_state(parameter, value.to(parameter.device), key)


def create_moments(engine: Any) -> None:
    """Give Adam its state tensors, zero, which it otherwise makes in its first update.

    Call once before training: DeepSpeed's ZeRO 1 and 2 link parameters to their moments after
    the update of the first parameter group, when later groups have none yet, and never again.
    """
    optimizer = _torch_optimizer(engine)
    masters = [p for group in optimizer.param_groups for p in group["params"]]
    if engine.zero_optimization_stage() == 3:
        masters = engine.optimizer.fp32_partitioned_groups_flat
    for master in masters:
        counter: Any = 0
        if isinstance(optimizer, torch.optim.AdamW):
            counter = torch.tensor(0.0, device=master.device)
        moments = {key: torch.zeros_like(master, dtype=torch.float32) for key in MOMENTS}
        optimizer.state[master] = {"step": counter, **moments}
    if engine.zero_optimization_stage() in (1, 2):
        engine.optimizer._lazy_init_hp_params_optimizer_state()


def _restore_stage3(parameter: nn.Parameter, stored: MasterState) -> None:
    """Write this process's slice; DeepSpeed's own setter fails where the last slice is padded."""
    from torch import distributed as dist

    size = parameter.ds_tensor.numel()  # type: ignore[attr-defined]
    rank = dist.get_rank()
    optimizer = parameter._z3_optimizer  # type: ignore[attr-defined]
    for key, value in {None: stored.weight, **stored.moments}.items():
        padded = torch.zeros(size * dist.get_world_size())
        padded[: value.numel()] = value.flatten()
        local = padded[rank * size : (rank + 1) * size].to(parameter.ds_tensor.device)  # type: ignore[attr-defined]
        optimizer.set_local_hp_param(local, parameter, key)


def _unpartitioned_masters(engine: Any) -> dict[int, Tensor]:
    """Master of each live parameter under stage 0, by the parameter's id; empty otherwise."""
    if engine.zero_optimization_stage() > 0:
        return {}
    optimizer = engine.optimizer
    if not hasattr(optimizer, "fp32_groups"):
        return {id(p): p for p in engine.module.parameters()}
    pairs = zip(optimizer.fp16_groups, optimizer.fp32_groups, strict=True)
    return {
        id(live): master
        for lives, masters in pairs
        for live, master in zip(lives, masters, strict=True)
    }


def _torch_optimizer(engine: Any) -> torch.optim.Optimizer:
    return getattr(engine.optimizer, "optimizer", engine.optimizer)


def _frozen(parameter: nn.Parameter) -> Tensor:
    if not hasattr(parameter, "ds_id"):
        return _to_cpu(parameter)
    from deepspeed import zero

    with zero.GatheredParameters([parameter]):
        return _to_cpu(parameter)


def _shape(parameter: nn.Parameter) -> torch.Size:
    return getattr(parameter, "ds_shape", parameter.shape)


def _to_cpu(value: Tensor) -> Tensor:
    return value.detach().to("cpu", torch.float32, copy=True)
