"""Clipping as open_clip clips: one norm over the towers and the logit scale.

The reference is torch.nn.utils.clip_grad_norm_ over all parameters of the model, the log of its
scale and its bias, after open_clip's own losses, in float64. Adam's first moment after one update
is (1 - beta1) times the gradient that it was given. Tolerance: fp32 against float64.
"""

import os
from functools import cache
from pathlib import Path

import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.loss import SigLipLoss
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.runs import make_shards, run_to_end, small_config
from tests.support.warm_processes import exit_codes, start_ranks
from vlsuite.engine.config import TrainConfig
from vlsuite.engine.distributed import start_distributed
from vlsuite.engine.master_state import iterate_master_state
from vlsuite.engine.run_folder import RunFolder
from vlsuite.engine.state import TrainState
from vlsuite.engine.train_loop import PairShards, build_stream, train

_SCALE = "log_logit_scale"
_NORM = 0.5
_STAGES = (0, 1, 2, 3)
_OBJECTIVES = ("clip", "siglip")


def config(shards: Path, *more: str, objective: str = "clip") -> TrainConfig:
    clipped = [f"optim.grad_clip_norm={_NORM}", f"objective={objective}"]
    if objective == "siglip":  # a bias whose gradient outweighs those of the towers
        clipped += ["objective.init_logit_scale=1", "objective.init_logit_bias=0"]
    return small_config(shards, "duration=1steps", *clipped, *more)


def given(state: TrainState) -> dict[str, Tensor]:
    """Gradients that the first update was made with, by name; collective."""
    share = 1 - state.config.optim.betas[0]
    found = {
        name: own.moments["exp_avg"] / share
        for name, own in iterate_master_state(state.engine, moments=True)
    }
    assert state.objective_optimizer is not None
    own = state.objective_optimizer.state
    return found | {
        name: own[p]["exp_avg"].reshape(()).clone() / share
        for name, p in state.objective.named_parameters()
    }


@cache
def reference(shards: Path, objective: str, *, joint: bool = True) -> dict[str, Tensor]:
    """The same in float64, of the first global batch."""
    ctx = start_distributed(threads=1)
    settings = config(shards, objective=objective)
    state = TrainState.create(settings, ctx)
    found = PairShards.open(settings.data)
    stream = build_stream(state, found, RunFolder(shards / "none"), found.shuffling)
    (batch,) = next(iter(stream.from_position(0)))
    torch.manual_seed(settings.seed)
    built = settings.model.build()
    encoder = built.encoder.double().train()
    pixels = batch.pixels(built.preprocess, device=torch.device("cpu"), dtype=torch.float64)
    images = F.normalize(encoder.visual(pixels), dim=-1)
    texts = F.normalize(encoder.text(batch.token_ids), dim=-1)
    scalars = {
        name: p.detach().double().reshape(()).requires_grad_()
        for name, p in state.objective.named_parameters()
    }
    scale = scalars[_SCALE].exp()
    if objective == "clip":
        open_clip.ClipLoss()(images, texts, scale).backward()
    else:
        SigLipLoss()(images, texts, scale, scalars["learned_logit_bias"]).backward()
    towers = dict(encoder.named_parameters())
    counted = [*towers.values(), *(scalars.values() if joint else ())]
    before = torch.nn.utils.clip_grad_norm_(counted, _NORM)
    assert float(before) > 2 * _NORM
    return {name: p.grad for name, p in (towers | scalars).items() if p.grad is not None}


def assert_equal(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(
            found[name].double(), gradient, rtol=2e-4, atol=2e-6, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    return make_shards(tmp_path_factory.mktemp("clipping"))


@pytest.mark.parametrize("objective", _OBJECTIVES)
@pytest.mark.parametrize("stage", _STAGES)
def test_one_process_clips_as_torch_does(shards, tmp_path, stage, objective):
    settings = config(shards, f"deepspeed=zero{stage}", objective=objective)
    state, _ = run_to_end(settings, tmp_path / "run")
    assert_equal(given(state), reference(shards, objective))


def test_micro_batches_change_nothing(shards, tmp_path):
    state, _ = run_to_end(config(shards, "micro_batch_size=4"), tmp_path / "run")
    assert_equal(given(state), reference(shards, "clip"))


@pytest.mark.parametrize("objective", _OBJECTIVES)
def test_the_old_rule_is_a_setting_and_another(shards, tmp_path, objective):
    off = config(shards, "optim.clip_objective=false", objective=objective)
    state, _ = run_to_end(off, tmp_path / "run")
    old, new = reference(shards, objective, joint=False), reference(shards, objective)
    ours = given(state)
    cut = {name: gradient for name, gradient in ours.items() if name not in _scalars(state)}
    assert_equal(cut, {name: old[name] for name in cut})
    for name in _scalars(state):
        assert not torch.allclose(ours[name].double(), new[name], rtol=0.1)
    if objective == "siglip":
        given_to, wanted = ours["visual.proj"].double(), new["visual.proj"]
        assert not torch.allclose(given_to, wanted, rtol=5e-3, atol=0.0)


def _scalars(state: TrainState) -> set[str]:
    return {name for name, _ in state.objective.named_parameters()}


def test_nothing_is_cut_below_the_norm(shards, tmp_path):
    loose, _ = run_to_end(config(shards, "optim.grad_clip_norm=1e9"), tmp_path / "loose")
    free, _ = run_to_end(config(shards, "optim.grad_clip_norm=none"), tmp_path / "free")
    assert free.clipping is None
    assert_equal(given(loose), {name: g.double() for name, g in given(free).items()})


def worker(shards: Path, root: Path) -> None:
    rank = int(os.environ["RANK"])
    for stage in _STAGES:
        ctx = start_distributed(threads=1)
        settings = config(shards, f"deepspeed=zero{stage}", objective="siglip")
        folder = RunFolder(root / f"zero{stage}")
        if rank == 0:
            folder.create("test", settings)
        ctx.barrier()
        found = given(train(settings, ctx, folder))
        save_file({n: g.contiguous() for n, g in found.items()}, folder.path / f"of-{rank}")


def test_two_processes_clip_as_torch_does(shards, tmp_path):
    assert exit_codes(start_ranks(2, worker, shards, tmp_path)) == [0, 0]
    for stage in _STAGES:
        for rank in (0, 1):
            found = load_file(tmp_path / f"zero{stage}" / f"of-{rank}")
            assert_equal(found, reference(shards, "siglip"))
