"""Close vectors go as a loop over the definition says; recall is what comparing all finds."""

import json

import numpy as np
import pyarrow as pa
import pytest

from data_pipelines.curation import close_vectors as close_vectors_module
from data_pipelines.curation import vector_cells
from data_pipelines.curation.close_vectors import VectorsByCell, close_vectors
from data_pipelines.curation.filters.semantic_duplicates import SemanticDuplicates
from data_pipelines.curation.recall import nearest_earlier, recall_by_band
from data_pipelines.curation.recipe import load_recipe
from data_pipelines.curation.run import run_recipe
from data_pipelines.curation.stages import Stages
from data_pipelines.curation.vector_cells import Cells, cells_of, working
from data_pipelines.errors import ConfigError, DataError
from data_pipelines.wilson import wilson_interval
from tests.support.curation import add_vectors, files_of, table_of


def _vectors(number, dim=12, seed=0):
    """Clusters of several widths, so that chains and near misses occur."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((number // 6, dim))
    spread = rng.choice([0.02, 0.1, 0.3], (number, 1))
    found = centers[rng.integers(len(centers), size=number)]
    found = found + spread * rng.standard_normal((number, dim))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float16)


def _unit(vectors):
    wide = vectors.astype(np.float64)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def _gone(vectors, threshold, may_meet=lambda first, second: True):
    """Place to leader and cosine, one by one, each compared with all that stayed before it."""
    leaders, gone = [], {}
    units = _unit(vectors)
    for place, own in enumerate(units):
        near = [(-float(own @ units[first]), first) for first in leaders if may_meet(first, place)]
        near = [one for one in near if -one[0] >= threshold]
        if near:
            cosine, leader = min(near)
            gone[place] = (leader, -cosine)
        else:
            leaders.append(place)
    return gone


def _fates(table, chosen, threads=2):
    with Stages(table, threads=threads) as stages:
        counts = stages.run("it", chosen)
        rows = stages.sql(
            f"SELECT id, value, detail FROM ({stages.fates.all()}) WHERE stage = 'it' ORDER BY id"
        ).fetchall()
    return counts, rows


def _table(folder, vectors):
    number = len(vectors)
    rows = [{"uid": f"{i:05d}"} for i in range(number)]
    table = table_of(folder, [rows[: number // 3], rows[number // 3 :]])
    add_vectors(table, "clip", vectors)
    return table


def test_few_samples_are_all_compared(tmp_path):
    vectors = _vectors(400)
    table = _table(tmp_path, vectors)
    counts, rows = _fates(table, SemanticDuplicates(threshold=0.97))
    expected = _gone(vectors, 0.97)
    places = {((i >= 133) << 32) + (i - 133 * (i >= 133)): i for i in range(400)}
    assert {places[i]: int(uid) for i, _, uid in rows} == {p: g[0] for p, g in expected.items()}
    assert [value for _, value, _ in rows] == pytest.approx(
        [expected[places[i]][1] for i, _, _ in rows], abs=1e-6
    )
    assert counts.figures == {"cells": 1}


@pytest.mark.parametrize("probes", [1, 3])
def test_cells_let_a_sample_meet_the_leaders_of_the_cells_nearest_to_it(monkeypatch, probes):
    monkeypatch.setattr(close_vectors_module, "_FIRST_BLOCK", 16)
    monkeypatch.setattr(close_vectors_module, "BLOCK", 64)
    vectors = _vectors(500, seed=1)
    ids = np.arange(500)

    def at(chosen):
        return _unit(vectors[chosen]).astype(np.float32)

    with working(2) as workers:
        cells = cells_of(at, ids, workers, cells=9, probes=probes, iterations=4, seed=0)
        by_cell = VectorsByCell(at, ids, cells)
        found = close_vectors(by_cell, workers, threshold=0.96)
    nearest = np.argsort(-(_unit(vectors) @ cells.centroids.T), axis=1)[:, :probes]
    assert np.array_equal(cells.nearest, nearest)
    assert np.linalg.norm(cells.centroids, axis=1) == pytest.approx(np.ones(9), abs=1e-6)
    expected = _gone(vectors, 0.96, lambda first, second: nearest[first, 0] in nearest[second])
    assert dict(zip(found.places, found.leaders, strict=True)) == {
        place: leader for place, (leader, _) in expected.items()
    }


def test_recall_is_the_share_of_nearest_earlier_ones_that_meet(monkeypatch):
    monkeypatch.setattr("data_pipelines.curation.recall.BLOCK", 50)
    vectors = _vectors(300, seed=2)
    nearest = np.random.default_rng(0).integers(0, 4, (300, 2)).astype(np.int32)

    def at(chosen):
        return _unit(vectors[chosen]).astype(np.float32)

    with working(2) as workers:
        by_cell = VectorsByCell(at, np.arange(300), Cells(np.zeros((4, 12), np.float32), nearest))
        measured = nearest_earlier(by_cell, workers, samples=300, seed=0)
    rows = recall_by_band(measured, threshold=0.9)
    cosines = _unit(vectors) @ _unit(vectors).T
    best = [int(cosines[i, :i].argmax()) for i in range(1, 300)]
    for row in rows:
        low, high = row["cosine"]
        inside = [
            (first, i + 1)
            for i, first in enumerate(best)
            if low <= cosines[i + 1, first] and (high == 1.0 or cosines[i + 1, first] < high)
        ]
        meet = sum(nearest[first, 0] in nearest[second] for first, second in inside)
        assert row["samples"] == len(inside)
        assert row["recall"] == pytest.approx(meet / len(inside))
        assert row["interval"][0] <= row["recall"] <= row["interval"][1]
    assert len(rows) == 6


def test_the_interval_is_wilsons():
    """Brown, Cai and DasGupta 2001: limits are roots of (p - share)^2 = z^2 p (1 - p) / n."""
    for limit in wilson_interval(7, 20, quantile=1.96):
        assert (limit - 7 / 20) ** 2 == pytest.approx(1.96**2 * limit * (1 - limit) / 20)
    assert wilson_interval(5, 5, quantile=1.96).high == 1.0
    assert wilson_interval(0, 5, quantile=1.96).low == 0.0


def test_runs_are_the_same_for_any_number_of_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(vector_cells, "EXACT", 100)
    table = _table(tmp_path / "table", _vectors(900, seed=3))
    (tmp_path / "r.toml").write_text('[[stage]]\nfilter = "semantic-duplicates"\nprobes = 2\n')
    recipe = load_recipe(str(tmp_path / "r.toml"))
    for threads in (1, 4):
        run_recipe(recipe, table, tmp_path / str(threads), threads=threads)
    assert files_of(tmp_path / "1") == files_of(tmp_path / "4")
    stored = json.loads((tmp_path / "1" / "run.json").read_text())
    figures = stored["stages"][1]["figures"]
    assert figures["cells"] == 30
    assert figures["recall by cosine"][-1]["recall"] > 0.9
    assert list(stored["made_from"]["vectors"]) == ["clip"]
    again = run_recipe(recipe, table, tmp_path / "1")
    assert (again.was_there, again.stages[1].figures) == (True, figures)
    add_vectors(table, "clip", _vectors(900, seed=4))
    with pytest.raises(DataError, match="of other vectors"):
        run_recipe(recipe, table, tmp_path / "1")


def test_samples_without_a_vector_go_by_a_reason_of_their_own(tmp_path):
    vectors = np.array([[1, 0], [np.nan, np.nan], [1, 0], [0, 1]], dtype=np.float16)
    counts, rows = _fates(_table(tmp_path, vectors), SemanticDuplicates())
    assert counts.reasons == {"close to another": 1, "no vector": 1}
    assert [row[2] for row in rows] == [None, "00000"]
    nothing = _table(tmp_path / "none", np.full((4, 2), np.nan))
    assert _fates(nothing, SemanticDuplicates())[0].reasons == {"no vector": 4}


def test_wrong_settings_and_missing_vectors_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="threshold"):
        SemanticDuplicates(threshold=0.0)
    with pytest.raises(ConfigError, match="probes"):
        SemanticDuplicates(probes=0)
    table = table_of(tmp_path, [[{}]])
    with pytest.raises(DataError, match="curate embed SHARDS"):
        _fates(table, SemanticDuplicates())


@pytest.mark.parametrize("error", [DataError("damaged; make it again"), KeyboardInterrupt()])
def test_what_is_raised_while_the_database_reads_comes_out_as_it_was(tmp_path, error):
    schema = pa.schema([("id", pa.int64())])

    def batches():
        yield pa.RecordBatch.from_pylist([{"id": 1}], schema=schema)
        raise error

    with Stages(table_of(tmp_path, [[{}]]), threads=1) as stages, pytest.raises(type(error)) as met:
        stages.add_relation("x", pa.RecordBatchReader.from_batches(schema, batches()))
    assert met.value is error
