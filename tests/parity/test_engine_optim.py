"""Learning rates equal open_clip_train's; decay groups equal its rule on a CLIP."""

import open_clip
import pytest
import torch
from open_clip_train import scheduler

from vlsuite.engine.optim import OptimConfig, learning_rate, parameter_groups
from vlsuite.models.dual_encoder.config import OpenClipConfig


def _reference_rates(schedule, total_steps, **options):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    adjust = schedule(optimizer, 3e-4, 10, total_steps, **options)
    return [adjust(step) for step in range(total_steps)]


def test_cosine_equals_open_clip():
    config = OptimConfig(lr=3e-4, warmup_steps=10, schedule="cosine")
    ours = [learning_rate(config, step, total_steps=50) for step in range(50)]
    assert ours == pytest.approx(_reference_rates(scheduler.cosine_lr, 50), rel=1e-12)


def test_constant_with_cooldown_equals_open_clip():
    config = OptimConfig(lr=3e-4, warmup_steps=10, schedule="constant", cooldown_steps=20)
    ours = [learning_rate(config, step, total_steps=50) for step in range(50)]
    reference = _reference_rates(scheduler.const_lr_cooldown, 50, cooldown_steps=20)
    assert ours == pytest.approx(reference, rel=1e-12)


def test_decay_groups_equal_open_clips_rule():
    encoder = OpenClipConfig(name="vlsuite-tiny-32").build().encoder
    decayed, plain = parameter_groups(encoder.named_parameters(), weight_decay=0.2)

    def excluded(name, parameter):  # open_clip_train/main.py, without logit_scale
        return parameter.ndim < 2 or any(part in name for part in ("bn", "ln", "bias"))

    torch.manual_seed(0)
    model = open_clip.CLIP(**_plain_cfg())
    expected = [p.shape for n, p in model.named_parameters() if not excluded(n, p)]
    found = [p.shape for p in decayed["params"]]
    assert sorted(map(tuple, found)) == sorted(map(tuple, expected))
    assert plain["weight_decay"] == 0.0


def _plain_cfg():
    from vlsuite.models.dual_encoder.config import architecture

    return architecture("vlsuite-tiny-32")
