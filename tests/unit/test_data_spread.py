"""Shards of a batch: counted, and expected of a full shuffle."""

from itertools import combinations

import pytest

from data_pipelines.shards.spread import distinct_shards, expected_shards


@pytest.mark.parametrize("lengths", [[3, 2, 1], [4, 0, 4], [1, 1, 1, 1]])
@pytest.mark.parametrize("batch", [1, 2, 4])
def test_expectation_is_the_mean_over_all_batches(lengths, batch):
    owners = [shard for shard, length in enumerate(lengths) for _ in range(length)]
    counts = [len(set(chosen)) for chosen in combinations(owners, batch)]
    assert expected_shards(lengths, batch) == pytest.approx(sum(counts) / len(counts))


def test_a_batch_of_everything_has_all_shards():
    assert expected_shards([5, 0, 3], 8) == expected_shards([5, 0, 3], 100) == 2


def test_batches_are_evenly_spaced_and_begin_where_batches_do():
    asked = []
    found = distinct_shards(
        lambda place: asked.append(place) or place // 10,
        num_samples=100,
        batch_size=5,
        num_batches=4,
    )
    assert found == 1
    assert asked[::5] == [0, 25, 50, 75]
