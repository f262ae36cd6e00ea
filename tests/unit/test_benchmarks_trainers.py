"""How the trainer comparisons read the two logs; a slip here would falsify the figures."""

import json
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from benchmarks.cifar_vs_open_clip import _first_samples
from benchmarks.peers.open_clip import parse_progress
from benchmarks.support.ours_vlsuite import read_progress
from benchmarks.support.timed_process import BenchmarkError, ProcessReport, TimedLine
from benchmarks.support.trainer_settings import Progress, find_shards, steady_rate


def progress(*entries: tuple[int, float]) -> tuple[Progress, ...]:
    return tuple(Progress(samples_seen=samples, seconds=seconds) for samples, seconds in entries)


def test_steady_rate_discards_what_lies_before_the_timed_samples():
    slow_start = progress((100, 50.0), (200, 60.0), (400, 80.0))
    assert steady_rate(slow_start, num_samples=300) == pytest.approx(10.0)
    assert steady_rate(slow_start, num_samples=200) == pytest.approx(10.0)


def test_steady_rate_times_equal_samples_whichever_step_is_logged_first():
    ours = progress((20, 9.0), (40, 10.0), (60, 11.0), (61, 99.0))
    peer = progress((1, 9.0), (21, 10.0), (41, 11.0), (61, 12.0))
    assert steady_rate(ours, num_samples=40) == pytest.approx(20.0)
    assert steady_rate(peer, num_samples=40) == pytest.approx(20.0)


def test_steady_rate_refuses_an_interval_nobody_logged():
    with pytest.raises(BenchmarkError, match="no two progress lines are 30 samples apart"):
        steady_rate(progress((20, 1.0), (40, 2.0)), num_samples=30)


def test_peer_log_gives_samples_by_arrival_time():
    line = (
        "2026-01-01,00:00:00 | INFO | Train Epoch: 0 [ 2816/10240 (28%)] Data (t): 0.005 "
        "Batch (t): 2.300, 111.130/s, 111.130/s/gpu LR: 0.000550 Logit Scale: 14.262"
    )
    lines = (TimedLine(seconds=1.5, text="INFO | Start epoch 0"), TimedLine(seconds=9.0, text=line))
    report = ProcessReport(lines=lines, seconds=10.0, peak_bytes=1)
    assert parse_progress(report) == progress((2816, 9.0))


def test_our_metrics_give_training_lines_only(tmp_path: Path):
    metrics = tmp_path / "metrics.jsonl"
    records = [
        {"kind": "train", "samples_seen": 64, "time": 2.5},
        {"kind": "eval", "samples_seen": 64, "results": []},
    ]
    metrics.write_text("\n".join(json.dumps(record) for record in records) + "\n")
    assert read_progress(metrics) == progress((64, 2.5))


def test_missing_shards_name_the_option(tmp_path: Path):
    with pytest.raises(BenchmarkError, match="--data FOLDER"):
        find_shards(tmp_path, "cifar10-train-*.tar")


def test_first_samples_are_copied_whole(tmp_path: Path):
    shard = tmp_path / "all.tar"
    with tarfile.open(shard, "w") as tar:
        for key in ("000", "001", "002"):
            for suffix in ("jpg", "cls"):
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = 3
                tar.addfile(member, BytesIO(b"abc"))
    part = _first_samples(shard, tmp_path / "part.tar", 2)
    with tarfile.open(part) as tar:
        assert tar.getnames() == ["000.jpg", "000.cls", "001.jpg", "001.cls"]
    assert _first_samples(shard, tmp_path / "other.tar", None) == shard
