"""What is said about shards that changed, and which order a continued run has."""

import pytest

from data_pipelines.shards.sliced_order import Window
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.pair_shards import ShardFacts
from vlsuite.batches.shuffling import Shuffling, continued
from vlsuite.engine.data_identity import _differences
from vlsuite.errors import ConfigError

A, B, C = (ShardFacts(f"{name}.tar", 10, name * 32) for name in "abc")


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ([A, B, C], []),
        ([A._replace(content="d" * 32), B, C], ["a.tar holds other content"]),
        ([A._replace(num_samples=9), B, C], ["a.tar holds 9 samples instead of 10"]),
        (
            [A._replace(content=B.content), B._replace(content=A.content), C],
            ["a.tar holds what b.tar held", "b.tar holds what a.tar held"],
        ),
        ([A, C], ["b.tar is gone"]),
        ([A, B, C, A], ["a.tar (2) is new"]),
        ([C, B, A], []),
    ],
)
def test_each_difference_is_named(now, told):
    assert list(_differences([A, B, C], now)) == told


def test_many_differences_are_counted():
    was = [ShardFacts(f"{i}.tar", 1, f"{i:032x}") for i in range(9)]
    now = [facts._replace(content="f" * 32) for facts in was]
    assert list(_differences(was, now)) == [
        "0.tar holds other content",
        "1.tar holds other content",
        "2.tar holds other content",
        "and 6 more like the last",
    ]


NEW = Shuffling((None, 100_000), (Window(20, 100_000),))


def test_a_run_keeps_its_order_unless_the_settings_ask_for_another():
    began = Shuffling((None, 100_000), (Window(15, 100_000),))
    assert continued(began.to_dict(), NEW) == began
    asked = Shuffling((5, 100_000), (Window(5, 100_000),))
    assert continued(began.to_dict(), asked) == asked
    assert continued(asked.to_dict(), NEW) == NEW


def test_a_run_of_an_earlier_version_keeps_the_order_of_that_time():
    assert continued({}, NEW) == Shuffling((None, 100_000), ())
    assert continued({}, NEW).to_dict() == {}
    asked = Shuffling((5, 100_000), (Window(5, 100_000),))
    assert continued({}, asked) == asked


def test_windows_that_make_no_sense_are_refused():
    for settings in ({"window_shards": 0}, {"window_samples": 0}):
        with pytest.raises(ConfigError, match=r"data\.window_s.* must be at least 1"):
            DataConfig(**settings)
