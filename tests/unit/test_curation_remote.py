"""Shards on remote storage are scanned as local ones are, and read again when they change."""

import pyarrow.parquet as pq
import pytest

from data_pipelines.curation.estimate import estimate_scan
from data_pipelines.curation.scan import scan
from data_pipelines.curation.scan_settings import ScanSettings
from data_pipelines.errors import DataError
from tests.support.curation import files_of, mixed_shards


@pytest.fixture
def address(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    mixed_shards(tmp_path / "shards")
    return f"file://{tmp_path}/shards/*.tar"


def _rows(folder):
    return [pq.read_table(path).to_pylist() for path in sorted((folder / "samples").iterdir())]


def test_the_table_of_an_address_has_the_rows_of_the_local_shards(address, tmp_path):
    scan(tmp_path / "shards", settings=ScanSettings(), out_dir=tmp_path / "near")
    report = scan(address, settings=ScanSettings(), out_dir=tmp_path / "far")
    assert (report.num_shards, report.num_read, report.num_samples) == (3, 3, 18)
    assert _rows(tmp_path / "near") == _rows(tmp_path / "far")
    whole = files_of(tmp_path / "far")
    again = scan(address, settings=ScanSettings(), out_dir=tmp_path / "far")
    assert again.num_read == 0
    assert files_of(tmp_path / "far") == whole


def test_a_remote_shard_that_changed_is_read_again(address, tmp_path):
    scan(address, settings=ScanSettings(), out_dir=tmp_path / "far")
    (tmp_path / "far/samples/00002.parquet").unlink()
    found = estimate_scan(address, settings=ScanSettings(), out_dir=tmp_path / "far")
    assert (found.num_shards, found.num_done) == (3, 2)
    mixed_shards(tmp_path / "shards", shards=1, samples=7)
    report = scan(address, settings=ScanSettings(), out_dir=tmp_path / "far")
    assert (report.num_read, report.num_samples) == (2, 19)


def test_without_a_folder_beside_the_shards_out_is_needed(address):
    with pytest.raises(DataError, match="name the folder of their table by --out"):
        scan(address, settings=ScanSettings())
