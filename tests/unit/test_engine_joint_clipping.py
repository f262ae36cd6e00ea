"""What surrounds the joint norm: the loss scale of fp16, and the rules of older runs."""

import json
from typing import Any

import pytest
import torch
from torch import nn

from vlsuite.batches.pairs import PairBatch
from vlsuite.engine.config import TrainConfig
from vlsuite.engine.joint_clipping import JointClipping
from vlsuite.engine.run_folder import RunFolder
from vlsuite.engine.steps.joint import joint_step
from vlsuite.engine.steps.plain import plain_step
from vlsuite.objectives.joint import JointObjective
from vlsuite.objectives.objective import Losses
from vlsuite.objectives.plain import PlainObjective

_SCALE = 1024.0


class Optimizer:
    """Of DeepSpeed in fp16: cuts gradients whose norm it is told, both scaled."""

    loss_scale = _SCALE

    def __init__(self, gradients: list[torch.Tensor], *, max_norm: float) -> None:
        self.gradients, self.max_norm = gradients, max_norm

    def unscale_and_clip_grads(self, gradients: list[torch.Tensor], norm: torch.Tensor) -> None:
        clip = ((norm / self.loss_scale + 1e-6) / self.max_norm).clamp(min=1.0)
        for gradient in gradients:
            gradient.mul_(1 / (clip * self.loss_scale))


class Engine:
    """Scales losses, and looks at the objective's gradient in its step."""

    def __init__(self, weight: nn.Parameter) -> None:
        self.optimizer = Optimizer([], max_norm=1.0)
        self.device, self.seen = torch.device("cpu"), []
        self._weight = weight

    def backward(self, loss: torch.Tensor, **_: Any) -> None:
        (loss * _SCALE).backward()

    def step(self) -> None:
        assert self._weight.grad is not None
        self.seen.append(float(self._weight.grad))


def _start(self: Any) -> None:
    nn.Module.__init__(self)
    self.weight = nn.Parameter(torch.tensor(2.0))


def _loss(self: Any, output: torch.Tensor, _: Any) -> Losses:
    return Losses((self.weight * output).sum(), {})


_METHODS = {"__init__": _start, "forward": _loss}


def batch(uid: str) -> PairBatch:
    return PairBatch(
        uids=(uid,),
        sources=(0,),
        images=torch.zeros(1, 3, 1, 1, dtype=torch.uint8),
        token_ids=torch.zeros(1, 1, dtype=torch.int64),
        caption_numbers=(0,),
        identities=(None,),
    )


@pytest.mark.parametrize(
    ("step", "base"), [(joint_step, JointObjective), (plain_step, PlainObjective)]
)
def test_gradients_are_complete_and_unscaled_before_the_update(step, base):
    objective = type("Objective", (base,), _METHODS)()
    engine = Engine(objective.weight)
    step(
        engine,
        objective,
        [batch("1"), batch("5")],
        encode=lambda one: torch.tensor([float(one.uids[0])]),
        world_size=1,
        step_seed=0,
    )
    assert engine.seen[-1] == pytest.approx(3.0)


@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_scaled_gradients_are_cut_as_torch_cuts_all(max_norm):
    torch.manual_seed(0)
    weights = [nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(4))]
    scale = nn.Parameter(torch.zeros(()))
    raw = [torch.randn(3), torch.randn(4), torch.tensor(2.0)]
    for parameter, gradient in zip((*weights, scale), raw, strict=True):
        parameter.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_([*weights, scale], max_norm)
    wanted = [p.grad.clone() for p in (*weights, scale)]
    scaled = [gradient * _SCALE for gradient in raw[:2]]
    optimizer = Optimizer(scaled, max_norm=max_norm)
    engine = type("Engine", (), {"optimizer": optimizer})()
    scale.grad = raw[2].clone()
    clipping = JointClipping(engine, [scale], max_norm=max_norm)
    norm = torch.cat(scaled).norm()
    for gradient in scaled:  # one group after the other, as ZeRO does
        optimizer.unscale_and_clip_grads([gradient], norm)
    clipping.cut_objective()
    torch.testing.assert_close([*scaled, scale.grad], wanted)


def test_a_run_from_before_keeps_its_rules(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create("old", TrainConfig())
    assert folder.stored_config("old").optim.clip_objective
    told = json.loads(folder.config.read_text())
    del told["config"]["optim"]["clip_objective"], told["config"]["optim"]["decayed"]
    folder.config.write_text(json.dumps(told))
    optim = folder.stored_config("old").optim
    assert (optim.clip_objective, optim.decayed) == (False, "matrices")
