"""Decays of a Mamba layer stay fp32 under DeepSpeed's bf16 and fp16, with two processes.

A rate of 1e-5 moves a parameter by 1e-5 a step at most (Adam), far below the distance of two bf16
numbers near 1 (2^-7): what the forward pass computes with moves all the same, and is the master to
the last bit. Nothing here depends on a tolerance but the comparison of two processes with one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from deepspeed.accelerator import get_accelerator
from torch import Tensor, nn

from tests.support.runs import small_config
from tests.support.warm_processes import exit_codes, start_ranks
from vlsuite.engine.deepspeed import deepspeed_settings, start_engine
from vlsuite.engine.distributed import Context, start_distributed
from vlsuite.engine.master_state import (
    MasterState,
    create_moments,
    iterate_master_state,
    restore_master_state,
)
from vlsuite.engine.optim import OptimConfig, build_optimizer, set_learning_rate
from vlsuite.errors import ConfigError
from vlsuite.layers.full_precision import is_full_precision
from vlsuite.layers.mamba.config import MambaConfig
from vlsuite.layers.mamba.state_space import StateSpace
from vlsuite.layers.mamba.temporal import TemporalMamba

RATE, STEPS, BATCH = 1e-5, 8, 4
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
CASES = [
    *[(stage, precision) for precision in ("bf16", "fp16") for stage in (0, 1, 2)],
    *[(stage, "fp32") for stage in (1, 3)],
]


class Small(nn.Module):
    """Both kinds of layer, one whole and one in pieces; the mean over tokens comes out."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Linear(6, 16)
        self.both = TemporalMamba(16, MambaConfig(state=8, head_width=8), zero_init=False)
        self.forward_only = TemporalMamba(
            16, MambaConfig(kind="mamba1", state=4, directions="forward"), zero_init=False
        )

    def forward(self, rows: Tensor) -> Tensor:
        return self.forward_only(self.both(self.embed(rows), piece=4)).mean(1)


class Run:
    """A module in an engine, and the batches it is given."""

    def __init__(self, stage: int, precision: str, ctx: Context) -> None:
        self.ctx, self.type = ctx, TYPES[precision]
        overrides = (
            f"deepspeed=zero{stage}",
            f"precision={precision}",
            f"global_batch_size={BATCH}",
        )
        config = small_config(Path("nowhere"), *overrides)
        self.module, self.seen = Small(), set()
        for part in self.module.modules():
            if isinstance(part, StateSpace):
                part.register_forward_hook(self._see)
        optim = OptimConfig(lr=RATE, weight_decay=0.5)
        optimizer = build_optimizer(optim, self.module, offload=False)
        settings = deepspeed_settings(config, world_size=ctx.world_size)
        settings["fp16"]["initial_scale_power"] = 8
        self.engine = start_engine(self.module, optimizer, settings, ctx=ctx)
        create_moments(self.engine)
        self.engine.train()

    def _see(self, part: nn.Module, *_: object) -> None:
        self.seen |= {p.dtype for p in part.parameters()}

    def train(self, steps: range) -> None:
        for step in steps:
            rows = torch.randn(BATCH, 10, 6, generator=torch.Generator().manual_seed(step))
            own = rows[self.ctx.rank :: self.ctx.world_size].to(self.type)
            set_learning_rate(self.engine.optimizer, RATE)
            self.engine.backward((self.engine(own).float() - 1).square().mean())
            self.engine.step()

    def masters(self) -> dict[str, MasterState]:
        return dict(iterate_master_state(self.engine, moments=True))

    def live(self) -> dict[str, Tensor]:
        """Marked parameters as the forward pass has them."""
        return {
            name: p.detach().clone()
            for name, p in self.module.named_parameters()
            if is_full_precision(p) and not hasattr(p, "ds_id")
        }

    def load(self, state: Mapping[str, MasterState], step: int) -> None:
        with torch.no_grad():
            for name, parameter in self.module.named_parameters():
                parameter.copy_(state[name].weight)
        restore_master_state(self.engine, dict(state), step=step)


def outcome(stage: int, precision: str, ctx: Context) -> dict[str, Any]:
    run = Run(stage, precision, ctx)
    start = {name: state.weight for name, state in run.masters().items()}
    run.train(range(STEPS // 2))
    half = run.masters()
    run.train(range(STEPS // 2, STEPS))
    found: dict[str, Any] = {
        "seen": sorted(map(str, run.seen)),
        "start": start,
        "live": run.live(),
        "end": {name: state.weight for name, state in run.masters().items()},
    }
    if stage < 3:
        again = Run(stage, precision, ctx)
        again.load(half, STEPS // 2)
        again.train(range(STEPS // 2, STEPS))
        found["resumed"] = {name: state.weight for name, state in again.masters().items()}
        found["resumed_live"] = again.live()
    return found


def worker(root: Path) -> None:
    ctx = start_distributed(threads=1)
    get_accelerator().is_fp16_supported = lambda: True  # DeepSpeed says no on a CPU; torch can
    for stage, precision in CASES:
        torch.save(outcome(stage, precision, ctx), root / f"{stage}_{precision}_{ctx.rank}.pt")
    try:
        Run(3, "bf16", ctx)
    except ConfigError as error:
        (root / f"refused_{ctx.rank}").write_text(str(error))


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("full_precision")
    log = folder / "log"
    codes = exit_codes(start_ranks(2, worker, folder, log=log))
    assert codes == [0, 0], log.read_text()[-3000:]
    return folder


def results(root: Path, stage: int, precision: str) -> list[dict[str, Any]]:
    return [
        torch.load(root / f"{stage}_{precision}_{rank}.pt", weights_only=True) for rank in (0, 1)
    ]


@pytest.mark.parametrize(("stage", "precision"), CASES)
def test_the_forward_pass_computes_with_fp32_masters(root, stage, precision):
    one, other = results(root, stage, precision)
    assert one["seen"] == ["torch.float32"]
    for name, live in one["live"].items():
        assert live.dtype == torch.float32
        assert torch.equal(live, one["end"][name]), name
        assert torch.equal(live, other["live"][name]), name


@pytest.mark.parametrize(("stage", "precision"), CASES)
def test_they_move_by_steps_that_bf16_could_not_hold(root, stage, precision):
    one, _ = results(root, stage, precision)
    fresh = Small()
    for name, parameter in fresh.named_parameters():
        if is_full_precision(parameter):
            start, end = one["start"][name], one["end"][name]
            assert torch.equal(start, parameter.detach()), name  # not rounded at the start either
            moved = (end - start).abs()
            assert 0 < float(moved.max()) < STEPS * RATE * 1.01, name
            assert not torch.equal(end, end.bfloat16().float()), name


@pytest.mark.parametrize(("stage", "precision"), [case for case in CASES if case[0] < 3])
def test_resumed_equals_undisturbed(root, stage, precision):
    one, _ = results(root, stage, precision)
    for name, end in one["end"].items():
        assert torch.equal(one["resumed"][name], end), name
    for name, live in one["live"].items():
        assert torch.equal(one["resumed_live"][name], live), name


def test_zero_stages_and_one_process_agree(root):
    """fp32 sums over a batch in another order; Adam divides by their size: at most one step."""
    reference = outcome(1, "fp32", start_distributed(threads=1))["end"]
    for stage in (1, 3):
        one, _ = results(root, stage, "fp32")
        for name, value in reference.items():
            torch.testing.assert_close(one["end"][name], value, rtol=0, atol=RATE, msg=name)


def test_zero_3_in_half_precision_is_one_line(root):
    for rank in (0, 1):
        told = (root / f"refused_{rank}").read_text()
        assert "deepspeed=zero2" in told
        assert "precision=fp32" in told
        assert "\n" not in told
