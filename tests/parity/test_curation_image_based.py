"""The image-based filter keeps what a loop over DataComp's rule keeps."""

import numpy as np
import pytest

from data_pipelines.curation.filters.image_based import ImageBased
from data_pipelines.curation.stages import Stages
from data_pipelines.errors import ConfigError, DataError
from tests.support.curation import add_vectors, table_of


def _kept(table, chosen, threads=1):
    with Stages(table, threads=threads) as stages:
        counts = stages.run("it", chosen)
        kept = stages.sql("SELECT uid FROM samples ANTI JOIN dropped USING (id)").fetchall()
    assert counts.given == counts.kept + counts.dropped == table.num_rows
    return {uid for (uid,) in kept}, counts


def _unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _stored(folder, rng):
    """A table of 300 samples with vectors, of which some lack one."""
    vectors = _unit(rng.normal(size=(300, 6))).astype(np.float16)
    vectors[::50] = np.nan
    table = table_of(folder, [[{"uid": str(i)} for i in range(100 * s, 100 * s + 100)]
                              for s in range(3)])  # fmt: skip
    add_vectors(table, "clip", vectors)
    return table, _unit(vectors.astype(np.float32))


def test_kept_are_those_nearest_to_a_centroid_that_the_reference_is_nearest_to(tmp_path):
    """apply_filter.py: argmax of the inner product with the centroids, for pool and reference."""
    rng = np.random.default_rng(0)
    table, vectors = _stored(tmp_path / "pool", rng)
    centroids = rng.normal(size=(12, 6)).astype(np.float32)  # not of unit length
    reference = rng.normal(size=(5, 6)).astype(np.float32)
    np.save(tmp_path / "centroids.npy", centroids)
    np.save(tmp_path / "reference.npy", reference)
    targets = {max(range(12), key=lambda c: float(centroids[c] @ one)) for one in reference}
    expected = set()
    for uid, own in enumerate(vectors):
        if not np.isnan(own).any():
            nearest = max(range(12), key=lambda c: float(centroids[c] @ own))
            expected |= {str(uid)} if nearest in targets else set()
    chosen = ImageBased(reference=tmp_path / "reference.npy", centroids=tmp_path / "centroids.npy")
    kept, counts = _kept(table, chosen)
    assert kept == expected
    assert counts.reasons["no vector"] == 6
    assert (counts.figures["cells"], counts.figures["cells of the reference"]) == (12, len(targets))


def test_without_centroids_the_samples_are_clustered_and_a_table_is_a_reference(tmp_path):
    rng = np.random.default_rng(1)
    table, _ = _stored(tmp_path / "pool", rng)
    other = table_of(tmp_path / "other", [[{"uid": str(i)} for i in range(20)]])
    like = rng.normal(size=(20, 6)) * 0.1 + np.eye(6)[0]
    add_vectors(other, "clip", _unit(like))
    chosen = ImageBased(reference=tmp_path / "other", cells=8)
    kept, counts = _kept(table, chosen)
    assert 0 < len(kept) < 294
    assert counts.figures["cells"] == 8
    assert _kept(table, chosen, threads=3)[0] == kept
    assert chosen.digests().keys() == {"reference"}


def test_references_that_do_not_fit_are_refused(tmp_path):
    table, _ = _stored(tmp_path / "pool", np.random.default_rng(2))
    np.save(tmp_path / "short.npy", np.ones((3, 5), np.float32))
    with pytest.raises(DataError, match="the vectors have 6 numbers"):
        _kept(table, ImageBased(reference=tmp_path / "short.npy", cells=2))
    with pytest.raises(DataError, match="no file"):
        _kept(table, ImageBased(reference=tmp_path / "none.npy", cells=2))
    with pytest.raises(DataError, match="no finished table"):
        _kept(table, ImageBased(reference=tmp_path / "nothing", cells=2))
    with pytest.raises(ConfigError, match="either centroids or cells"):
        ImageBased(reference=tmp_path, centroids=tmp_path, cells=2)
