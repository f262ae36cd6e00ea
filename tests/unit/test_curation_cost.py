"""The cost model multiplies as it says, and its page holds the figures of its own rates."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.support.curation_cost_page import page, read_page
from benchmarks.support.curation_costs import Pool, Rates, steps

_PAGE = Path(__file__).parents[2] / "data_pipelines/curation/COST.md"

_POOL = Pool(
    pairs=3.6e9, picture_bytes=1000, shard_samples=1e4, stages=2, kept=0.5, cells=1e4, probes=1,
    dimensions=256, cores=100, cores_of_one=10, storage=1e12,
)  # fmt: skip
_RATES = Rates(
    ingest=500, scan=1000, scan_hash=250, query=1e6, run=1e5, dots=1e9, copied=1e8, table_bytes=50,
    run_bytes=20, worker_bytes=1e8, task_ms=1,
)  # fmt: skip


def test_each_step_is_its_rate_times_the_pool():
    found = {step.name: step for step in steps(_POOL, _RATES)}
    assert found["ingest"].cpu_hours == pytest.approx(2000)
    assert found["scan"].cpu_hours == pytest.approx(1000)
    assert found["scan"].hours == pytest.approx(10)
    assert found["scan --phash"].cpu_hours == pytest.approx(4000)
    assert (found["scan"].read_bytes, found["scan"].written_bytes) == (3.6e12, 1.8e11)
    assert found["scan"].files == 3.6e5
    assert found["run"].hours == pytest.approx(2 / 10)
    assert found["run, fates"].hours == pytest.approx(10)
    # 1e4 centres and a cell of 3.6e5 others, at two dot products of 256 for one of 512
    assert found["semantic-duplicates"].cpu_hours == pytest.approx(3.6e9 * 3.7e5 / 2e9 / 3600)
    assert found["subset"].written_bytes == 4.5e8
    assert found["reshard"].cpu_hours == pytest.approx(5)
    assert steps(_POOL, replace(_RATES, ingest=0.0))[0].cpu_hours is None
    slow = steps(replace(_POOL, storage=1e6), _RATES)[1]
    assert slow.hours == pytest.approx((3.6e12 + 1.8e11) / 1e6 / 3600)


def test_a_page_gives_its_numbers_back():
    text = page(_POOL, _RATES, source="Made up.")
    assert read_page(text) == (_POOL, _RATES, "Made up.")
    assert "| `scan` | 1,000 | 10.0 h on 100 cores | 3.6 TB | 180 GB | 360,000 |" in text


def test_the_page_of_the_repository_is_that_of_its_rates():
    text = _PAGE.read_text(encoding="utf-8")
    pool, rates, source = read_page(text)
    assert pool.pairs == 1e10
    assert text == page(pool, rates, source=source)
