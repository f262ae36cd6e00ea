"""Near-duplicates by hash are those of a loop over the definition: leaders in order, exact bits."""

import random

import numpy as np
import pytest

from data_pipelines.curation.filters.near_duplicates import NearDuplicates
from data_pipelines.curation.hamming import BITS, masks
from data_pipelines.curation.leaders import Follower, Pairs, followers
from data_pipelines.curation.recipe import load_recipe
from data_pipelines.curation.run import run_recipe
from data_pipelines.curation.stages import Stages
from data_pipelines.errors import ConfigError
from tests.support.curation import files_of, table_of


def _hashes(number, seed=0):
    """Clusters of hashes a few bits from each other, chains among them, on two decode paths."""
    rng = random.Random(seed)
    centers = [rng.getrandbits(BITS) for _ in range(number // 8)]
    rows = []
    for i in range(number):
        value = rng.choice(centers)
        for _ in range(rng.randrange(5)):
            value ^= 1 << rng.randrange(BITS)
        path = "full" if rng.random() < 0.2 else "jpeg-scaled-64"
        rows.append({"uid": f"{i:032x}", "phash": value, "phash_path": path})
    return rows


def _fates(rows, bits):
    """Uid to leader and distance, by comparing each hash with all that stayed."""
    leaders, fates = [], {}
    known = {}
    for row in rows:
        key = (row["phash"], row["phash_path"])
        if key not in known:
            near = [
                ((row["phash"] ^ other["phash"]).bit_count(), place)
                for place, other in enumerate(leaders)
                if other["phash_path"] == row["phash_path"]
                and (row["phash"] ^ other["phash"]).bit_count() <= bits
            ]
            if near:
                apart, place = min(near)
                known[key] = (leaders[place]["uid"], apart)
            else:
                leaders.append(row)
                known[key] = (row["uid"], 0)
        if known[key][0] != row["uid"]:
            fates[row["uid"]] = known[key]
    return fates


def _run(table, chosen):
    with Stages(table, threads=2) as stages:
        counts = stages.run("it", chosen)
        found = stages.sql(
            f"SELECT uid, reason, value, detail FROM ({stages.fates.all()}) WHERE stage = 'it'"
        ).fetchall()
    return counts, found


@pytest.mark.parametrize("bits", [0, 1, 4, 9])
def test_each_sample_has_the_fate_of_the_definition(tmp_path, bits):
    rows = _hashes(900, seed=bits)
    table = table_of(tmp_path, [rows[:10], rows[10:500], rows[500:]], has_hash=True)
    counts, found = _run(table, NearDuplicates(bits=bits))
    assert {uid: (leader, int(apart)) for uid, _, apart, leader in found} == _fates(rows, bits)
    assert counts.reasons == {"looks the same": len(found)}
    assert "decoded in 2 ways" in counts.warnings[0]


def test_samples_without_a_hash_go_by_a_reason_of_their_own(tmp_path):
    rows = [{"uid": "a", "phash": 5, "phash_path": "full"}, {"uid": "b"}, {"uid": "c"}]
    table = table_of(tmp_path, [rows], has_hash=True)
    counts, _ = _run(table, NearDuplicates())
    assert counts.reasons == {"no perceptual hash": 2}


@pytest.mark.parametrize("bits", [0, 1, 3, 8, 16])
@pytest.mark.parametrize("number", [10, 10**5, 10**9])
def test_close_hashes_agree_on_one_of_the_masks(bits, number):
    rng = random.Random(number)
    chosen = masks(bits, (number, number))
    for _ in range(300):
        apart = sum(1 << place for place in rng.sample(range(BITS), bits))
        assert any(apart & mask == 0 for mask in chosen)


def test_more_hashes_are_cut_finer():
    assert len(masks(4, (10**7, 10**7))) > len(masks(4, (10**4, 10**4)))


def test_who_went_makes_nobody_go_however_the_pairs_are_cut():
    """A chain 0-1-2-3: 1 goes for 0, 2 stays (1 went), 3 goes for 2."""
    first, second = np.array([0, 1, 2, 0]), np.array([1, 2, 3, 3])
    apart = np.array([2.0, 1.0, 3.0, 4.0])
    expected = [Follower(1, 0, 2.0), Follower(3, 2, 3.0)]
    for cuts in ([], [1], [3], [0, 1, 2, 3]):
        pieces = zip(*(np.split(column, cuts) for column in (first, second, apart)), strict=True)
        found = list(followers([Pairs(*piece) for piece in pieces], np.ones(4, dtype=bool)))
        assert found == expected


def test_runs_are_the_same_for_any_number_of_threads(tmp_path):
    rows = _hashes(600)
    table = table_of(tmp_path / "table", [rows[:300], rows[300:]], has_hash=True)
    (tmp_path / "r.toml").write_text('[[stage]]\nfilter = "near-duplicates"\nbits = 6\n')
    recipe = load_recipe(str(tmp_path / "r.toml"))
    for threads in (1, 4):
        run_recipe(recipe, table, tmp_path / str(threads), threads=threads)
    assert files_of(tmp_path / "1") == files_of(tmp_path / "4")


def test_bits_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="0 to 16"):
        NearDuplicates(bits=17)
