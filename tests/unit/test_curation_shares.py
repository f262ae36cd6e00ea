"""Shares of a scan, run by jobs that know nothing of each other, give the table of one scan."""

import os
import sys
from pathlib import Path

import pytest

from data_pipelines.curation.estimate import estimate_scan
from data_pipelines.curation.scan import merge_shares, scan, scan_share
from data_pipelines.curation.scan_settings import ScanSettings
from data_pipelines.errors import DataError
from data_pipelines.workers import shared_storage
from data_pipelines.workers.share import Share
from data_pipelines.workers.shared_storage import await_file
from tests.support.curation import files_of, mixed_shards
from tests.support.fake_ray import FakeRay
from vlsuite.cli.main import main
from vlsuite.cli.shard_progress import shard_progress


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    mixed_shards(tmp_path / "shards")


def _share(tmp_path, rank, world=2):
    return scan_share(
        tmp_path / "shards",
        settings=ScanSettings(),
        out_dir=tmp_path / "shared",
        share=Share(rank=rank, world=world),
    )


def test_merged_shares_equal_one_scan_and_what_is_missing_is_named(tmp_path):
    def merged(settings=ScanSettings()):  # noqa: B008
        return merge_shares(
            tmp_path / "shards", settings=settings, out_dir=tmp_path / "shared", world=2
        )

    whole = scan(tmp_path / "shards", settings=ScanSettings(), out_dir=tmp_path / "whole")
    assert _share(tmp_path, 1).num_read == 1
    told = r"2 of 3 parts .* \(00000.tar, 00002.tar; rank 0 of 2\)"
    with pytest.raises(DataError, match=told):
        merged()
    assert _share(tmp_path, 0).num_read == 2
    assert not (tmp_path / "shared" / "table.json").exists()
    report = merged()
    assert (report.num_shards, report.num_read) == (3, 0)
    assert (report.num_samples, report.verdicts) == (whole.num_samples, whole.verdicts)
    assert files_of(tmp_path / "shared") == files_of(tmp_path / "whole")
    with pytest.raises(DataError, match="3 of 3 parts"):
        merged(ScanSettings(decode=True))
    os.utime(tmp_path / "shards" / "00001.tar")
    with pytest.raises(DataError, match=r"1 of 3 parts .* \(00001.tar; rank 1 of 2\)"):
        merged()


def test_a_table_without_one_of_its_parts_is_dropped_by_a_share(tmp_path):
    scan(tmp_path / "shards", settings=ScanSettings(), out_dir=tmp_path / "shared")
    assert _share(tmp_path, 1).num_read == 0
    assert not (tmp_path / "shared" / "table.json").exists()
    assert len(list((tmp_path / "shared" / "samples").iterdir())) == 3


def test_a_cluster_gives_the_same_table_and_storage_of_its_own_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", FakeRay())
    monkeypatch.chdir(tmp_path)
    scan("shards", settings=ScanSettings(), out_dir=tmp_path / "local")
    scan("shards", settings=ScanSettings(), out_dir=Path("cluster"), ray="auto")
    assert files_of(tmp_path / "cluster") == files_of(tmp_path / "local")
    (tmp_path / "lost").write_bytes(b"half")
    await_file(tmp_path / "lost", 4)
    monkeypatch.setattr(shared_storage, "_SEEN_AFTER", 0.0)
    with pytest.raises(DataError, match="must lie on storage that all nodes share"):
        await_file(tmp_path / "lost", 5)


def test_an_estimate_writes_nothing_and_scales_by_bytes(tmp_path):
    before = files_of(tmp_path / "shards")
    found = estimate_scan(tmp_path / "shards", settings=ScanSettings(), workers=2)
    assert files_of(tmp_path / "shards") == before
    whole = scan(tmp_path / "shards", settings=ScanSettings())
    parts = list((tmp_path / "shards" / "curation" / "samples").iterdir())
    assert found.num_samples == whole.num_samples
    assert found.num_bytes == sum(len(one) for name, one in before.items() if ".tar" in name)
    assert found.table_bytes == sum(part.stat().st_size for part in parts)
    assert found.cpu_seconds == pytest.approx(sum(one.cpu_seconds for one in found.timed))
    least, most = found.cpu_range
    assert least <= found.cpu_seconds <= most
    parts[0].unlink()
    rest = estimate_scan(tmp_path / "shards", settings=ScanSettings())
    assert (rest.num_done, len(rest.timed)) == (2, 1)
    double = found._replace(num_bytes=2 * found.num_bytes)
    assert double.cpu_seconds == pytest.approx(2 * found.cpu_seconds)
    assert double.seconds == pytest.approx(sum(one.seconds for one in found.timed))
    assert set(double.told()) == {"shards", "samples", "read", "CPU", "time", "written", "memory"}


def test_the_commands_share_merge_and_estimate(tmp_path, capsys):
    scanning = ["curate", "scan", str(tmp_path / "shards"), "--out", str(tmp_path / "t")]
    assert main([*scanning, "--estimate"]) == 0
    assert "samples a second of a core" in capsys.readouterr().out
    assert not (tmp_path / "t").exists()
    assert main([*scanning, "--rank", "0", "--world", "2"]) == 0
    assert "share 0 of 2" in capsys.readouterr().out
    assert main([*scanning, "--merge"]) == 2
    assert "1 of 3 parts" in capsys.readouterr().err
    assert main([*scanning, "--rank", "1", "--world", "2"]) == 0
    assert main([*scanning, "--merge", "--world", "2"]) == 0
    assert "18 samples in 3 shards (0 read now)" in capsys.readouterr().out
    for wrong, told in (
        (["--rank", "2"], "--rank wants --world"),
        (["--world", "2"], "--world wants --rank"),
        (["--rank", "2", "--world", "2"], "ranks run from 0"),
        (["--merge", "--ray", "auto"], "exclude each other"),
    ):
        assert main([*scanning, *wrong]) == 2
        assert told in capsys.readouterr().err


def test_time_left_is_that_of_the_shards_that_were_read(capsys):
    now = [0.0]

    def work():
        for number in range(100):  # ten shards were there already, the others take a minute each
            now[0] += 0.0 if number < 10 else 60.0
            yield Path(str(number))

    class _Known:
        def __len__(self):
            return 100

        def __iter__(self):
            return work()

    assert len(list(shard_progress(_Known(), clock=lambda: now[0]))) == 100
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 90
    assert lines[0] == "11 of 100 shards, 89 min left"
    assert lines[49] == "60 of 100 shards, 40 min left"
