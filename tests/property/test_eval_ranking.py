"""Places in a ranking equal those of a stable sort, however the scores are sliced."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eval.metrics import ranking
from eval.metrics.ranking import (
    answers_of,
    best_entries,
    first_entries,
    nearest_entry,
    places_of_best_own,
    places_of_targets,
    to_targets,
)

# Small integers: dot products are exact, and ties are common.
_coordinates = st.integers(-2, 2).map(float)


@st.composite
def _galleries(draw: st.DrawFn):
    queries, gallery = draw(st.integers(1, 6)), draw(st.integers(1, 12))
    dim = draw(st.integers(1, 3))
    query_embeds = draw(arrays(np.float32, (queries, dim), elements=_coordinates))
    gallery_embeds = draw(arrays(np.float32, (gallery, dim), elements=_coordinates))
    targets = draw(arrays(np.int64, queries, elements=st.integers(0, gallery - 1)))
    return tuple(map(torch.from_numpy, (query_embeds, gallery_embeds, targets)))


def _order(scores: torch.Tensor) -> list[list[int]]:
    return [sorted(range(len(row)), key=lambda j: (-row[j], j)) for row in scores.tolist()]


@settings(max_examples=60, deadline=None)
@given(_galleries(), st.integers(1, 80))
def test_places_of_targets(case, scores_at_a_time: int) -> None:
    query_embeds, gallery_embeds, targets = case
    places = places_of_targets(
        query_embeds, gallery_embeds, targets, scores_at_a_time=scores_at_a_time
    )
    order = _order(query_embeds @ gallery_embeds.T)
    assert places.tolist() == [
        row.index(target) for row, target in zip(order, targets.tolist(), strict=True)
    ]


@settings(max_examples=60, deadline=None)
@given(_galleries(), st.integers(1, 80), st.randoms(use_true_random=False))
def test_places_of_best_own(case, scores_at_a_time: int, random) -> None:
    query_embeds, gallery_embeds, _ = case
    num_queries = min(len(query_embeds), len(gallery_embeds))
    query_embeds = query_embeds[:num_queries]
    owners = list(range(num_queries))
    owners += [random.randrange(num_queries) for _ in range(len(gallery_embeds) - num_queries)]
    random.shuffle(owners)
    places = places_of_best_own(
        query_embeds, gallery_embeds, torch.tensor(owners), scores_at_a_time=scores_at_a_time
    )
    order = _order(query_embeds @ gallery_embeds.T)
    assert places.tolist() == [
        min(row.index(j) for j, owner in enumerate(owners) if owner == query)
        for query, row in enumerate(order)
    ]


@settings(max_examples=30, deadline=None)
@given(_galleries(), st.integers(1, 15))
def test_best_entries(case, count: int) -> None:
    query_embeds, gallery_embeds, _ = case
    best = best_entries(query_embeds, gallery_embeds, count=count)
    order = _order(query_embeds @ gallery_embeds.T)
    assert best.tolist() == [row[:count] for row in order]


@settings(max_examples=30, deadline=None)
@given(_galleries(), st.integers(1, 80), st.integers(1, 15))
def test_several_answers_are_those_of_one_pass_each(case, scores_at_a_time: int, count) -> None:
    query_embeds, gallery_embeds, targets = case
    places, nearest, best = answers_of(
        query_embeds,
        gallery_embeds,
        to_targets(targets),
        nearest_entry,
        first_entries(count),
        scores_at_a_time=scores_at_a_time,
    )
    assert torch.equal(places, places_of_targets(query_embeds, gallery_embeds, targets))
    assert torch.equal(nearest, best[:, 0])
    assert torch.equal(best, best_entries(query_embeds, gallery_embeds, count=count))


def test_one_pass_multiplies_once(monkeypatch) -> None:
    calls = []
    product = ranking._product
    monkeypatch.setattr(ranking, "_product", lambda *own: calls.append(1) or product(*own))
    embeds = torch.eye(6)
    answers_of(embeds, embeds, to_targets(torch.arange(6)), nearest_entry, scores_at_a_time=12)
    assert len(calls) == 3
