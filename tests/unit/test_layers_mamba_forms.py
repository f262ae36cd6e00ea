"""Settings of a Mamba layer, what it refuses, and the marks of its parameters."""

import copy

import pytest
import torch
from torch import nn

from vlsuite.engine.optim import is_decayed, parameter_groups
from vlsuite.errors import ConfigError
from vlsuite.layers.full_precision import is_full_precision, is_never_decayed
from vlsuite.layers.mamba.config import MambaConfig
from vlsuite.layers.mamba.temporal import TemporalMamba

MARKED = {
    f"paths.{number}.dynamics.{name}" for number in (0, 1) for name in ("A_log", "D", "dt_bias")
}


def small(**settings: object) -> TemporalMamba:
    return TemporalMamba(8, MambaConfig(**{"state": 2, "head_width": 4, **settings}))


def test_defaults_are_vambas():
    config = MambaConfig()
    assert (config.kind, config.states, config.head_width, config.expand) == ("mamba2", 128, 64, 2)
    assert MambaConfig(kind="mamba1").states == 16


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"head_width": 5}, "set head_width=4"),
        ({"head_width": 64}, "set head_width=16"),
        ({"conv": 0}, "conv=0 must be at least 1"),
        ({"state": -1}, "state=-1 must be at least 1"),
        ({"directions": "forward", "merge": "sum"}, "leave it out"),
    ],
)
def test_settings_that_cannot_be(settings, told):
    with pytest.raises(ConfigError, match=told) as caught:
        small(**settings)
    assert "\n" not in str(caught.value)


def test_head_width_is_of_mamba2_alone():
    small(kind="mamba1", head_width=5)


def test_padding_before_a_token():
    there = torch.tensor([[True, False, True]])
    with pytest.raises(ValueError, match="end of a row"):
        small()(torch.zeros(1, 3, 8), is_there=there)


def test_both_directions_cannot_be_streamed():
    with pytest.raises(ValueError, match="forward"):
        small().stream(torch.zeros(1, 3, 8), None)


@pytest.mark.parametrize("kind", ["mamba1", "mamba2"])
def test_decays_stay_fp32_and_are_not_decayed(kind):
    layer = small(kind=kind)
    for module in (layer, copy.deepcopy(layer), copy.deepcopy(layer).bfloat16(), layer.half()):
        named = dict(module.named_parameters())
        assert {n for n, p in named.items() if is_full_precision(p)} == MARKED
        assert {n for n, p in named.items() if is_never_decayed(p)} == MARKED
        assert {named[n].dtype for n in MARKED} == {torch.float32}
    assert {p.dtype for n, p in named.items() if n not in MARKED} == {torch.float16}
    assert all(p.dtype == torch.float64 for p in layer.double().parameters())


def test_a_cast_and_back_does_not_round_them():
    layer = small()
    before = {n: p.detach().clone() for n, p in layer.named_parameters() if n in MARKED}
    layer.bfloat16().float()
    after = dict(layer.named_parameters())
    assert all(torch.equal(after[n], value) for n, value in before.items())


@pytest.mark.parametrize("rule", ["open_clip", "matrices"])
def test_no_rule_decays_what_is_marked(rule):
    layer = small(kind="mamba1")
    named = dict(layer.named_parameters())
    assert named["paths.0.dynamics.A_log"].ndim == 2
    decayed = {n for n, p in named.items() if is_decayed(n, p, rule)}
    assert not decayed & MARKED
    assert {"in_proj.weight", "out_proj.weight", "paths.1.x_proj.weight"} <= decayed


def test_marked_parameters_are_the_last_groups():
    model = nn.Sequential(small(), nn.Linear(8, 8))
    groups = parameter_groups(
        model.named_parameters(),
        weight_decay=0.2,
        new_lr_factor=2.0,
        is_new=lambda name: "paths.0" in name,
    )
    marked = [{is_full_precision(p) for p in group["params"]} for group in groups]
    assert marked == [{False}] * 4 + [{True}] * 2
    decays = [(group["weight_decay"], group["lr_factor"]) for group in groups]
    assert decays == [(0.2, 1.0), (0.2, 2.0), (0.0, 1.0), (0.0, 2.0), (0.0, 1.0), (0.0, 2.0)]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
