"""What is said about batch norm, and batch norm over processes without a GPU."""

import pytest
import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import nn

from vlsuite.engine.training_mode import batch_norm_remark, has_batch_norm
from vlsuite.errors import ConfigError
from vlsuite.layers.synchronised_batch_norm import synchronise_batch_norms

NORM = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)).train()


@pytest.mark.parametrize(
    ("world_size", "accumulates", "is_joint", "words"),
    [
        (1, False, False, None),
        (1, True, False, "micro_batch_size"),
        (2, False, False, "sync_batch_norm=true"),
        (2, False, True, None),
        (2, True, True, "depends on micro_batch_size"),
    ],
)
def test_what_the_loss_depends_on_is_said(world_size, accumulates, is_joint, words):
    told = batch_norm_remark(
        NORM, world_size=world_size, accumulates=accumulates, is_joint=is_joint
    )
    assert (told is None) if words is None else (words in (told or ""))


def test_frozen_batch_norm_needs_no_remark():
    assert has_batch_norm(NORM)
    frozen = nn.Sequential(nn.BatchNorm2d(2)).eval()
    assert batch_norm_remark(frozen, world_size=2, accumulates=True, is_joint=False) is None


@pytest.mark.parametrize("momentum", [0.1, None, 0.0])
def test_by_itself_it_is_the_layer_it_was(momentum):
    torch.manual_seed(0)
    x = torch.randn(6, 4, 3, 3)
    plain, joint = (nn.BatchNorm2d(4, momentum=momentum) for _ in range(2))
    assert synchronise_batch_norms(joint) == 1
    assert joint.state_dict().keys() == plain.state_dict().keys()
    assert joint(x).equal(plain(x))
    assert isinstance(joint, nn.BatchNorm2d)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_joint_statistics_of_one_process_are_torchs(monkeypatch, momentum):
    """The formula against torch's own layer; the sum over processes is that of one."""
    monkeypatch.setattr("vlsuite.layers.synchronised_batch_norm.all_reduce", lambda tensor: tensor)
    torch.manual_seed(0)
    for plain, shape in (
        (nn.BatchNorm1d(4, momentum=momentum), (6, 4)),
        (nn.BatchNorm2d(4, momentum=momentum, affine=False), (6, 4, 3, 3)),
        (nn.BatchNorm2d(4, momentum=momentum, track_running_stats=False), (6, 4, 3, 3)),
        (BatchNormAct2d(4), (6, 4, 3, 3)),
    ):
        joint = type(plain)(4, **_settings(plain))
        synchronise_batch_norms(joint)
        monkeypatch.setattr(type(joint), "is_joint", True)
        x, weight = torch.randn(shape, requires_grad=True), torch.randn(shape)
        grads = []
        for layer in (plain, joint):
            out = layer(x)
            grads.append(
                (out, *torch.autograd.grad((out * weight).sum(), [x, *layer.parameters()]))
            )
        for ours, theirs in zip(grads[1], grads[0], strict=True):
            torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=1e-5)
        for ours, theirs in zip(joint.buffers(), plain.buffers(), strict=True):
            torch.testing.assert_close(ours, theirs)


def _settings(layer):
    if isinstance(layer, BatchNormAct2d):
        return {}
    return {
        "momentum": layer.momentum,
        "affine": layer.affine,
        "track_running_stats": layer.track_running_stats,
    }


def test_an_unknown_kind_is_one_line():
    class Own(nn.BatchNorm2d):
        pass

    with pytest.raises(ConfigError, match="Own; leave it out"):
        synchronise_batch_norms(nn.Sequential(Own(3)))
