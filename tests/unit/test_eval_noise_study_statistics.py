"""Figures and intervals of a study, next to a bootstrap written as plain loops."""

import math
import random
import statistics
from pathlib import Path

import pytest
from scipy.stats import t

from eval.studies.noise.records import load_cells
from eval.studies.noise.statistics import Statistics
from tests.support.noise_cells import places, write_cell

_SHARES = {"infonce": (0.20, 0.30, 0.25), "rde": (0.40, 0.50, 0.42)}


@pytest.fixture
def study(tmp_path: Path) -> Statistics:
    """Two methods and an oracle at 50%, three seeds; InfoNCE without noise for two."""
    for method, shares in _SHARES.items():
        for seed, share in enumerate(shares):
            write_cell(
                tmp_path, method, 0.5, seed, t2i=places(share, shift=7 * seed), curve=[0.1, 0.6]
            )
    for seed in range(3):
        write_cell(tmp_path, "oracle_rde", 0.5, seed, t2i=places(0.5, shift=3 * seed))
    for seed in range(2):
        write_cell(tmp_path, "infonce", 0.0, seed, t2i=places(0.5, shift=seed))
    write_cell(tmp_path, "siglip", 0.5, 0, t2i=places(0.3))
    return Statistics(load_cells(tmp_path), seed=1)


def _half_width(figure, num_seeds: int, count: int = 200, draws: int = 2000):
    """t times the error; ``figure(seeds, queries)`` is computed anew for each draw."""
    rng = random.Random(5)
    every_seed, every_query = list(range(num_seeds)), list(range(count))
    of_queries = [
        figure(every_seed, [rng.randrange(count) for _ in every_query]) for _ in range(draws)
    ]
    of_seeds = [
        figure([rng.randrange(num_seeds) for _ in every_seed], every_query) for _ in range(draws)
    ]
    parts = [
        (statistics.pvariance(found) * units / (units - 1), units - 1)
        for found, units in ((of_queries, count), (of_seeds, num_seeds))
    ]
    total = sum(own for own, _ in parts)
    freedom = total**2 / sum(own**2 / less for own, less in parts)
    return float(t.ppf(0.975, freedom)) * math.sqrt(total)


def _mean_hit(method: str, seeds: list[int], queries: list[int]) -> float:
    hits = [[p == 0 for p in places(s, shift=7 * i)] for i, s in enumerate(_SHARES[method])]
    return sum(hits[s][q] for s in seeds for q in queries) / (len(seeds) * len(queries))


def test_mean_and_interval_of_a_method(study: Statistics):
    found = study.last("infonce", 0.5, "r1_t2i")
    assert found is not None
    half = _half_width(lambda s, q: _mean_hit("infonce", s, q), 3)
    assert found.value == pytest.approx(0.25)
    assert found.num_seeds == 3
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


def test_differences_are_paired_by_seed_and_query(study: Statistics):
    absolute = study.difference("rde", "infonce", 0.5, "r1_t2i")
    relative = study.difference("rde", "infonce", 0.5, "r1_t2i", relative=True)
    assert absolute is not None
    assert relative is not None

    def plain(seeds: list[int], queries: list[int]) -> float:
        return _mean_hit("rde", seeds, queries) - _mean_hit("infonce", seeds, queries)

    assert absolute.value == pytest.approx(0.19)
    half = _half_width(plain, 3)
    assert (absolute.low, absolute.high) == pytest.approx((0.19 - half, 0.19 + half), abs=0.01)
    assert relative.value == pytest.approx(0.19 / 0.25)
    half = _half_width(lambda s, q: plain(s, q) / _mean_hit("infonce", s, q), 3)
    assert (relative.high - relative.low) / 2 == pytest.approx(half, rel=0.1)


def test_a_method_differs_from_itself_by_exactly_nothing(study: Statistics):
    found = study.difference("rde", "rde", 0.5, "r1_t2i")
    assert found is not None
    told = {"value": 0.0, "low": None, "high": None, "seeds": 3, "hits": 88.0}
    assert found.to_dict() == told


def test_one_seed_gives_an_interval_over_queries(study: Statistics):
    found = study.last("siglip", 0.5, "r1_t2i")
    assert found is not None
    spread = 1.96 * math.sqrt(0.3 * 0.7 / 200)
    assert (found.low, found.high) == pytest.approx((0.3 - spread, 0.3 + spread), abs=0.012)
    assert found.num_seeds == 1


def test_ratios_use_the_seeds_in_common(study: Statistics):
    kept = study.retention("infonce", 0.5, "r1_t2i")
    assert kept is not None
    assert kept.value == pytest.approx((0.20 + 0.30) / (0.5 + 0.5))
    assert kept.num_seeds == 2


def test_the_oracle_is_that_of_the_same_towers(study: Statistics):
    share = study.share_of_oracle("rde", 0.5, "r1_t2i")
    assert share is not None
    assert share.value == pytest.approx(0.44 / 0.5)
    assert study.share_of_oracle("infonce", 0.5, "r1_t2i") is None


def test_best_minus_last_varies_over_seeds(study: Statistics):
    gap = study.best_minus_last("infonce", 0.5)
    assert gap is not None
    assert gap.value == pytest.approx(0.35)
    # Three seeds, 0.3, 0.35 and 0.4: Student's t with two degrees of freedom.
    half = 4.3027 * 0.05 / math.sqrt(3)
    assert (gap.high - gap.low) / 2 == pytest.approx(half, rel=0.05)
    single = study.best_minus_last("siglip", 0.5)
    assert single is not None
    assert math.isnan(single.low)
    assert single.to_dict()["low"] is None


def test_what_was_not_run_is_none(study: Statistics):
    assert study.last("rde", 0.8, "r1_t2i") is None
    assert study.best("rde", 0.8, "r1_t2i") is None


def test_ratios_to_nothing_are_undefined(tmp_path: Path):
    write_cell(tmp_path, "infonce", 0.0, 0, t2i=places(0.0))
    write_cell(tmp_path, "infonce", 0.5, 0, t2i=places(0.5))
    kept = Statistics(load_cells(tmp_path)).retention("infonce", 0.5, "r1_t2i")
    assert kept is not None
    assert kept.to_dict() == {"value": None, "low": None, "high": None, "seeds": 1, "hits": 0.0}


def test_the_same_seed_draws_the_same(tmp_path: Path):
    write_cell(tmp_path, "infonce", 0.5, 0, t2i=places(0.4))
    one, two = (Statistics(load_cells(tmp_path), seed=3) for _ in range(2))
    assert one.last("infonce", 0.5, "r1_t2i") == two.last("infonce", 0.5, "r1_t2i")
