"""Scores stand beside the table: one for each row, of this model and these shards."""

import math
import shutil
import sys

import pyarrow.parquet as pq
import pytest
import torch

from data_pipelines.curation.recipe import load_recipe
from data_pipelines.curation.run import run_recipe
from data_pipelines.curation.scan import scan
from data_pipelines.curation.scan_settings import ScanSettings
from data_pipelines.curation.table import open_table
from data_pipelines.errors import DataError
from data_pipelines.workers.share import Share, refuse_missing
from tests.support.curation import files_of, mixed_shards
from tests.support.fake_ray import FakeRay
from vlsuite.models import part_tasks
from vlsuite.models.embed_shards import embed_shards, missing_vectors
from vlsuite.models.part_tasks import ModelCluster
from vlsuite.models.score_shards import missing_scores, score_shards
from vlsuite.models.scorers import dual_encoder
from vlsuite.models.scorers.cosine import CosineScorer, CosineSettings


class _Reading:
    """The cosine follows from the number that the caption ends in."""

    fingerprint = "reading"

    @staticmethod
    def image_transform(image):
        return torch.zeros(3, 2, 2, dtype=torch.uint8)

    def embed_images(self, images):
        return torch.tensor([[1.0, 0.0]]).repeat(len(images), 1)

    def embed_texts(self, texts):
        cosines = torch.tensor([int(text.split()[-1]) / 100 for text in texts])
        return torch.stack([cosines, (1 - cosines**2).sqrt()], dim=1)


def _scorer(model=None):
    return CosineScorer(model or _Reading())


@pytest.fixture
def shards(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    mixed_shards(tmp_path / "shards")
    scan(tmp_path / "shards", settings=ScanSettings())
    return tmp_path / "shards"


def test_each_row_has_its_cosine_and_bad_ones_nan(shards, tmp_path):
    table = open_table(shards)
    done = score_shards(_scorer(), [str(shards)], table, name="clip", batch_size=2)
    assert (done.num_samples, done.num_without, done.num_read) == (18, 6, 3)
    found = [s for p in table.score_parts("clip") for s in pq.read_table(p)["score"].to_pylist()]
    for number, score in enumerate(found):
        if number % 3 == 2:
            assert math.isnan(score)
        else:
            assert score == pytest.approx(number / 100, abs=1e-6)
    (tmp_path / "top.toml").write_text('[[stage]]\nfilter = "clip-score"\nfraction = 0.4\n')
    report = run_recipe(load_recipe(str(tmp_path / "top.toml")), table, tmp_path / "out", threads=1)
    kept = pq.read_table(tmp_path / "out" / "kept.parquet").to_pylist()
    assert [6 * int(row["shard"][:5]) + row["row"] for row in kept] == [10, 12, 13, 15, 16]
    assert report.num_kept == 5


def test_scoring_goes_on_and_notices_another_model_or_shard(shards):
    table = open_table(shards)
    score_shards(_scorer(), [str(shards)], table, name="clip", batch_size=2)
    whole = files_of(table.folder)
    (table.folder / "scores" / "clip" / "00001.parquet").unlink()
    again = score_shards(_scorer(), [str(shards)], table, name="clip", batch_size=2)
    assert again.num_read == 1
    assert files_of(table.folder) == whole
    other = _Reading()
    other.fingerprint = "other"
    assert (
        score_shards(_scorer(other), [str(shards)], table, name="clip", batch_size=2).num_read == 3
    )
    mixed_shards(shards, samples=7)
    with pytest.raises(DataError, match="scan the shards again"):
        score_shards(_scorer(other), [str(shards)], table, name="new", batch_size=2)
    scan(shards, settings=ScanSettings())
    with pytest.raises(DataError, match="other content than the table's"):
        open_table(shards).score_parts("clip")


def test_names_that_are_none_and_missing_shards_are_refused(shards):
    table = open_table(shards)
    with pytest.raises(DataError, match="cannot name a score"):
        score_shards(_scorer(), [str(shards)], table, name="width", batch_size=2)
    with pytest.raises(DataError, match="2 shards"):
        score_shards(_scorer(), [str(shards / "00000.tar")], table, name="clip", batch_size=2)


def test_shares_of_scores_and_vectors_are_merged_once_all_are_there(shards):
    table = open_table(shards)
    paths = [str(shards)]
    score_shards(_scorer(), paths, table, name="clip", batch_size=2)
    embed_shards(_Reading(), paths, table, name="clip", of="caption", batch_size=2)
    whole = files_of(table.folder)
    for rank in (1, 0):
        share = Share(rank=rank, world=2)
        done = score_shards(_scorer(), paths, table, name="two", batch_size=2, share=share)
        vectors = embed_shards(
            _Reading(), paths, table, name="two", of="caption", batch_size=2, share=share
        )
        assert (done.num_samples, done.num_read) == ((6, 1) if rank else (12, 2))
        assert (vectors.num_samples, vectors.num_read) == ((6, 1) if rank else (12, 2))
        missing = [0, 2] if rank else []
        assert missing_scores(_scorer(), table, name="two", batch_size=2) == missing
        assert missing == missing_vectors(_Reading(), table, name="two", of="caption", batch_size=2)
        assert not [name for name in files_of(table.folder) if name.endswith("two/scores.json")]
    with pytest.raises(DataError, match=r"1 of 3 parts .* \(b; rank 1 of 2\)"):
        refuse_missing([1], ["a", "b", "c"], folder=table.folder, world=2)
    assert score_shards(_scorer(), paths, table, name="two", batch_size=2).num_read == 0
    assert (
        embed_shards(_Reading(), paths, table, name="two", of="caption", batch_size=2).num_read == 0
    )
    merged = files_of(table.folder)
    for name, content in whole.items():
        other = name.replace("/clip/", "/two/")
        assert merged[other] == content.replace(b'"name": "clip"', b'"name": "two"')


def test_nodes_of_a_cluster_open_the_same_model(shards, monkeypatch):
    table, paths = open_table(shards), [str(shards)]
    monkeypatch.setitem(sys.modules, "ray", FakeRay())
    for module in (part_tasks, dual_encoder):
        monkeypatch.setattr(module, "open_model", lambda name, device: _Reading())
    part_tasks._opened.cache_clear()
    score_shards(_scorer(), paths, table, name="clip", batch_size=2)
    whole = files_of(table.folder)
    shutil.rmtree(table.folder / "scores")
    scoring = ModelCluster(address="auto", model="any", scorer=CosineSettings())
    score_shards(_scorer(), paths, table, name="clip", batch_size=2, cluster=scoring)
    assert files_of(table.folder) == whole
    cluster = ModelCluster(address="auto", model="any")
    other = _Reading()
    other.fingerprint = "other"
    with pytest.raises(DataError, match="any is another model on this node"):
        embed_shards(other, paths, table, name="clip", batch_size=2, cluster=cluster)
    part_tasks._opened.cache_clear()
