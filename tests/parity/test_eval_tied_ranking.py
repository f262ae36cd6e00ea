"""Ranks under every tie rule against sorting by hand, and the published galleries."""

import json

import numpy as np
import pytest
import torch

from eval.errors import EvaluationError
from eval.metrics.tied_ranking import (
    TieRule,
    galleries_of_pairs,
    mean_reciprocal_rank,
    rivals_of_own,
)
from tests.support.shards import SHARED_DATA


@pytest.mark.parametrize("ties", ["optimistic", "average", "pessimistic"])
def test_ranks_equal_counting(ties: TieRule) -> None:
    generator = torch.Generator().manual_seed(1)
    distinct = torch.nn.functional.normalize(torch.randn(6, 3, generator=generator), dim=-1)
    gallery = distinct[[0, 1, 1, 2, 3, 0, 4, 5]]  # equal entries in other groups and in the same
    groups = torch.tensor([0, 1, 2, 3, 1, 0, 4, 4])
    queries = torch.nn.functional.normalize(torch.randn(5, 3, generator=generator), dim=-1)
    own = torch.tensor([0, 1, 2, 3, 4])
    found = rivals_of_own(queries, gallery, own, groups, scores_at_a_time=16).ranks(ties)
    for row in range(5):
        scores = {j: float(np.float32(queries[row] @ distinct[k])) for j, k in enumerate(
            [0, 1, 1, 2, 3, 0, 4, 5])}  # fmt: skip
        best = max(scores[j] for j in scores if groups[j] == own[row])
        others = [scores[j] for j in scores if groups[j] != own[row]]
        equal = sum(abs(s - best) < 1e-7 for s in others)
        ahead = sum(s > best + 1e-7 for s in others)
        share = {"optimistic": 0, "average": 0.5, "pessimistic": 1}[ties]
        assert found[row] == 1 + ahead + share * equal


def test_equal_pictures_make_ties_and_own_ones_none() -> None:
    gallery = torch.eye(2)[[0, 0, 1]]
    query = torch.eye(2)[:1]
    apart = rivals_of_own(query, gallery, torch.tensor([0]), torch.tensor([0, 1, 2]))
    assert (apart.ranks("optimistic"), apart.ranks("pessimistic")) == (1, 2)
    together = rivals_of_own(query, gallery, torch.tensor([0]), torch.tensor([0, 0, 2]))
    assert together.ranks("pessimistic") == 1


def test_published_galleries() -> None:
    galleries = galleries_of_pairs(25_010, size=1000)
    assert len(galleries) == 25
    joined = np.concatenate(galleries)
    assert len(set(joined.tolist())) == 25_000
    # DataFrame(range(10)).sample(frac=1, random_state=0) of pandas
    assert galleries_of_pairs(10, size=10)[0].tolist() == [2, 8, 4, 9, 1, 6, 7, 3, 0, 5]
    with pytest.raises(EvaluationError, match="galleries of 11 pairs"):
        galleries_of_pairs(10, size=11)


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="needs the published ranks")
def test_published_ranks_and_means() -> None:
    numbers = json.loads((SHARED_DATA / "xmai_upstream_numbers.json").read_text())
    items = numbers["coco_rank_examples"]["items"]
    assert len(items) == 10
    ranks = {m: np.array([i["rank"][m] for i in items], float) for m in ("original", "xmai")}
    by_hand = sum(1 / i["rank"]["xmai"] for i in items) / 10
    assert mean_reciprocal_rank(ranks["xmai"]) == pytest.approx(by_hand)
    improved, fell = ranks["xmai"][:5] < ranks["original"][:5], ranks["xmai"] > ranks["original"]
    assert improved.all()
    assert fell[5:].all()
    before, after = (numbers["coco_retrieval"][f"mrr_{m}"][0] for m in ("original", "xmai"))
    assert after / before - 1 == pytest.approx(-0.153, abs=5e-4)
