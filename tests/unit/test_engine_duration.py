"""Durations in steps, samples and epochs."""

import pytest

from vlsuite.engine.duration import Duration
from vlsuite.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "steps"),
    [("3steps", 3), ("1000samples", 10), ("1001samples", 11), ("2epochs", 20), ("0.5epoch", 5)],
)
def test_steps_round_up(text, steps):
    assert Duration(text).steps(samples_per_step=100, samples_per_epoch=1000) == steps


@pytest.mark.parametrize(
    "text",
    ["", "12", "steps", "-3steps", "3 weeks", "1e3", "1.2.3steps", ".steps", "..5epochs", "1e5"],
)
def test_other_forms_are_refused(text):
    with pytest.raises(ConfigError, match="not a duration"):
        Duration(text)


@pytest.mark.parametrize("text", ["0steps", "0.0epochs", "0e5samples", "1e999steps"])
def test_nothing_and_no_number_are_refused(text):
    with pytest.raises(ConfigError, match="above 0"):
        Duration(text)
