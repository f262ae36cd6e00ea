from itertools import combinations

import numpy as np
import pytest

from eval.metrics.chance import chance_of_any_own


@pytest.mark.parametrize(("own", "gallery", "k"), [(1, 7, 3), (3, 9, 2), (5, 6, 4), (2, 4, 9)])
def test_equals_the_share_of_all_draws_that_hit(own: int, gallery: int, k: int) -> None:
    draws = list(combinations(range(gallery), min(k, gallery)))
    share = sum(any(entry < own for entry in draw) for draw in draws) / len(draws)
    assert chance_of_any_own(np.array([own]), gallery_size=gallery, k=k) == pytest.approx(share)


def test_is_the_mean_over_queries() -> None:
    one = chance_of_any_own(np.array([1]), gallery_size=10, k=5)
    three = chance_of_any_own(np.array([3]), gallery_size=10, k=5)
    mixed = chance_of_any_own(np.array([1, 3, 1]), gallery_size=10, k=5)
    assert mixed == pytest.approx((2 * one + three) / 3)
