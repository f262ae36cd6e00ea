import math

import pytest
import torch

from vlsuite.objectives.pair_memory import PairMemory


def observe(memory: PairMemory, keys: list[int], values: list[float], *, decay: float = 0.5):
    memory.average_in(torch.tensor(keys), [("loss", torch.tensor(values))], decay=decay)


def test_running_means_equal_a_loop():
    generator = torch.Generator().manual_seed(0)
    memory, expected = PairMemory(loss=math.nan), {}
    for _ in range(20):
        keys = torch.randperm(30, generator=generator)[:8]
        values = torch.rand(8, generator=generator)
        observe(memory, keys.tolist(), values.tolist(), decay=0.7)
        for key, value in zip(keys.tolist(), values.tolist(), strict=True):
            old = expected.get(key)
            expected[key] = value if old is None else 0.7 * old + 0.3 * value
    assert memory.keys.tolist() == list(expected)
    assert memory.column("loss").tolist() == pytest.approx(list(expected.values()), abs=1e-6)


def test_first_value_is_taken_as_it_is_and_without_decay_the_last_one():
    memory = PairMemory(loss=math.nan)
    observe(memory, [5], [3.0], decay=0.9)
    assert memory.column("loss").tolist() == [3.0]
    observe(memory, [5], [1.0], decay=0.0)
    assert memory.column("loss").tolist() == [1.0]


def test_of_a_pair_twice_in_a_batch_the_last_counts():
    memory = PairMemory(loss=math.nan)
    observe(memory, [4, 9, 4], [1.0, 2.0, 3.0])
    assert memory.keys.tolist() == [4, 9]
    assert memory.column("loss").tolist() == [3.0, 2.0]


def test_asking_for_values_adds_no_pair():
    memory = PairMemory(loss=0.25)
    observe(memory, [1], [2.0])
    found = memory.values_of("loss", torch.tensor([7, 1, -3]))
    assert found.tolist()[0] == 0.25
    assert found.tolist()[2] == 0.25
    assert len(memory) == 1


def test_grows_beyond_its_first_rows_and_keeps_what_it_knew():
    memory = PairMemory(loss=math.nan, other=0.5)
    keys = torch.arange(5000) * 3 - 7000
    values = torch.rand(5000, generator=torch.Generator().manual_seed(1))
    for part in range(0, 5000, 500):
        rows = slice(part, part + 500)
        memory.average_in(keys[rows], [("loss", values[rows])], decay=0.5)
    assert len(memory) == 5000
    assert memory.keys.tolist() == keys.tolist()
    assert torch.equal(memory.values_of("loss", keys), values)
    assert set(memory.column("other").tolist()) == {0.5}


@pytest.mark.parametrize("count", [0, 3, 1024, 1025, 3000])
def test_state_is_restored_bit_for_bit_and_goes_on_alike(count):
    memory = PairMemory(loss=math.nan)
    if count:
        observe(memory, list(range(count)), torch.rand(count).tolist())
    other = PairMemory(loss=math.nan)
    other.load(memory.state())
    for each in (memory, other):
        observe(each, [0, count + 5], [0.5, 0.75])
    assert other.state().keys() == memory.state().keys()
    for name, value in memory.state().items():
        assert torch.equal(other.state()[name], value)


def test_state_is_a_copy():
    memory = PairMemory(loss=math.nan)
    observe(memory, [1], [2.0])
    state = memory.state()
    observe(memory, [1], [4.0])
    assert state["loss"].tolist() == [2.0]


def test_keys_at_the_ends_of_their_range():
    memory = PairMemory(loss=math.nan)
    keys = [-(2**63), 2**63 - 1]
    observe(memory, keys, [1.0, 2.0])
    assert memory.keys.tolist() == keys
    assert memory.values_of("loss", torch.tensor(keys)).tolist() == [1.0, 2.0]


def test_loading_replaces_what_was_there():
    memory, other = PairMemory(loss=math.nan), PairMemory(loss=math.nan)
    observe(memory, [1, 2], [1.0, 2.0])
    observe(other, [8, 9, 10], [5.0, 6.0, 7.0])
    other.load(memory.state())
    assert other.keys.tolist() == [1, 2]
    observe(other, [8], [1.5])
    assert other.column("loss").tolist() == [1.0, 2.0, 1.5]
