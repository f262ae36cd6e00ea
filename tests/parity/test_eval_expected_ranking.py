"""Ranks with ties broken at random, against every order of the tied entries."""

from itertools import permutations

import numpy as np
import pytest
import torch

from eval.metrics.expected_ranking import level_entries


def _by_every_order(scores, is_own, k):
    """Mean hit at k and mean rank of the best own entry over all orders of equal scores."""
    hits, ranks, count = 0.0, 0.0, 0
    for noise in permutations(range(len(scores))):
        order = sorted(range(len(scores)), key=lambda j: (-scores[j], noise[j]))
        place = next(place for place, j in enumerate(order) if is_own[j])
        hits, ranks, count = hits + (place < k), ranks + place + 1, count + 1
    return hits / count, ranks / count


@pytest.mark.parametrize("seed", range(6))
def test_equals_the_mean_over_all_orders_of_ties(seed):
    rng = np.random.default_rng(seed)
    axes = torch.eye(3)
    gallery_of = rng.integers(0, 3, size=6)
    groups = np.concatenate([np.arange(3), rng.integers(0, 3, size=3)])
    queries = torch.nn.functional.normalize(torch.from_numpy(rng.random((3, 3))).float(), dim=1)
    if seed % 2:
        queries = axes[rng.integers(0, 3, size=3)]
    gallery = axes[gallery_of]
    own = level_entries(queries, gallery, torch.arange(3), torch.from_numpy(groups))
    scores = (queries.double() @ gallery.double().T).numpy()
    for k in (1, 2, 5, 10):
        hits, ranks = own.hits(k), own.ranks()
        for i in range(3):
            hit, rank = _by_every_order(scores[i], groups == i, k)
            assert hits[i] == pytest.approx(hit, abs=1e-12)
            assert ranks[i] == pytest.approx(rank, abs=1e-12)


def test_constant_embeddings_give_chance():
    same = torch.nn.functional.normalize(torch.ones(40, 8), dim=1)
    own = level_entries(same, same, torch.arange(40), torch.arange(40))
    for k in (1, 5, 10):
        assert own.hits(k) == pytest.approx(np.full(40, k / 40))
    assert own.ranks() == pytest.approx(np.full(40, 20.5))


def test_without_ties_it_is_the_plain_rank():
    rng = np.random.default_rng(1)
    queries, gallery = (torch.from_numpy(rng.standard_normal((12, 5))).float() for _ in range(2))
    own = level_entries(queries, gallery, torch.arange(12), torch.arange(12), scores_at_a_time=30)
    scores = queries.double() @ gallery.double().T
    ranks = (scores > scores.diagonal()[:, None]).sum(dim=1).numpy() + 1
    assert own.ranks() == pytest.approx(ranks)
    assert own.hits(5).tolist() == (ranks <= 5).astype(float).tolist()
