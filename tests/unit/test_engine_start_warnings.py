"""What is said at the start of a run whose settings do not fit its training set."""

import dataclasses

import pytest

from vlsuite.engine.optim import learning_rate
from vlsuite.engine.start_warnings import start_warnings
from vlsuite.recipes.cifar10 import cifar10


@pytest.fixture
def config():
    return cifar10()


def test_a_warm_up_as_long_as_the_run_is_said(config):
    steps = config.optim.warmup_steps
    samples = config.global_batch_size
    (line,) = start_warnings(config, total_steps=steps, num_samples=samples)
    assert "warm-up (100 steps)" in line
    rates = [learning_rate(config.optim, step, total_steps=steps) for step in range(steps)]
    assert rates == sorted(rates)
    assert not [*start_warnings(config, total_steps=steps + 1, num_samples=samples)]


def test_a_batch_larger_than_the_training_set_is_said(config):
    config = dataclasses.replace(config, global_batch_size=64)
    (line,) = start_warnings(config, total_steps=10_000, num_samples=63)
    assert "global batch (64)" in line
