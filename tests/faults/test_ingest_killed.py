"""An ingest that is killed or interrupted goes on where it was and gives the same bytes."""

import os
import signal
import time

import pytest

from data_pipelines.ingest.run import ingest
from data_pipelines.ingest.settings import FetchSettings, ListSettings, RunSettings
from data_pipelines.shards.folder import owned
from tests.support.curation import files_of
from tests.support.picture_server import serving
from tests.support.warm_processes import command, exit_codes, start
from vlsuite.batches.pictures import open_picture
from vlsuite.cli.main import main

_OPTIONS = ("--number-sample-per-shard", "3", "--allow-private", "--min-success", "0")


@pytest.fixture
def place(tmp_path):
    with serving() as server:
        urls = [server.url(f"/{number}.jpg") for number in range(28)]
        urls += [server.url("/gone"), server.url("/later")]
        (tmp_path / "urls.txt").write_text("".join(f"{url}\n" for url in urls))
        yield tmp_path, server


def _started(folder, *more, host_rate="40"):
    words = ["data", "ingest", str(folder / "urls.txt"), "--out", str(folder / "out")]
    words += [*_OPTIONS, "--host-rate", host_rate, *more]
    return start(heed_ctrl_c_and_run, words, log=folder / "log")


def heed_ctrl_c_and_run(words):
    """In the new process: background jobs of a shell ignore it, and so does what they start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    command(words)


def _wait_for(process, reached):
    while not reached():
        assert process.exitcode is None, "it ended before it was stopped"
        time.sleep(0.01)


def _finished(folder, out, **run):
    return ingest(
        [folder / "urls.txt"],
        folder / out,
        open_picture,
        rows=ListSettings(number_sample_per_shard=3),
        fetch=FetchSettings(allow_private=True, host_rate=0.0),
        run=RunSettings(min_success=0.0, **run),
    )


def test_killed_and_called_again(place, monkeypatch):
    monkeypatch.setattr("data_pipelines.ingest.fetch._FIRST_WAIT", 0.01)
    folder, server = place
    tables = folder / "out" / "rows"
    process = _started(folder)
    _wait_for(process, lambda: len(list(tables.glob("*.parquet"))) >= 2)
    process.kill()
    process.join()
    assert not (folder / "out" / "manifest.json").exists()
    assert _finished(folder, "out").num_new <= 8
    _finished(folder, "whole")
    assert files_of(folder / "out") == files_of(folder / "whole")

    server.healed = True
    before = (tables / "shard-000009.parquet").stat().st_mtime_ns
    process = _started(folder, "--retry-failed", "--workers", "2")
    _wait_for(process, lambda: (tables / "shard-000009.parquet").stat().st_mtime_ns != before)
    process.kill()
    process.join()
    _finished(folder, "out")
    _finished(folder, "healed")
    assert files_of(folder / "out") == files_of(folder / "healed")


def test_interrupted_in_one_line(place):
    folder, _ = place
    process = _started(folder, "--workers", "2", host_rate="4")  # too slow to be done before
    _wait_for(process, lambda: list(folder.glob("out/rows/*.parquet")))
    os.kill(process.pid, signal.SIGINT)
    assert exit_codes([process], timeout=60) == [130]
    told = (folder / "log").read_text()
    how, line = [line for line in told.splitlines() if " rows" not in line]
    assert how.endswith("/out: the same command goes on there")
    assert line == "interrupted"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_asked_to_stop_it_says_how_to_go_on(place, workers):
    folder, _ = place
    process = _started(folder, "--workers", workers, host_rate="4")
    _wait_for(process, lambda: list(folder.glob("out/rows/*.parquet")))
    os.kill(process.pid, signal.SIGTERM)
    assert exit_codes([process], timeout=60) == [75]
    told = (folder / "log").read_text()
    (line,) = [line for line in told.splitlines() if " rows" not in line]
    assert line.startswith("error: stopped by SIGTERM; shards that are whole stay in ")
    assert line.endswith("/out: the same command goes on there")


def test_a_shard_whose_table_is_missing_is_made_again(place, monkeypatch):
    monkeypatch.setattr("data_pipelines.ingest.fetch._FIRST_WAIT", 0.01)
    folder, _ = place
    _finished(folder, "whole")
    _finished(folder, "out")
    out = folder / "out"
    (out / "manifest.json").unlink()
    (out / "rows" / "shard-000001.parquet").unlink()
    (out / "shard-000002.tar").write_bytes((out / "shard-000002.tar").read_bytes()[:3000])
    assert _finished(folder, "out").num_new == 2
    assert files_of(out) == files_of(folder / "whole")


def test_two_at_once_and_folders_of_others(tmp_path, capsys):
    folder = tmp_path
    (folder / "urls.txt").write_text("http://127.0.0.1:9/1.jpg\n")
    given = ["data", "ingest", str(folder / "urls.txt"), *_OPTIONS, "--out"]
    with owned(folder / "out"):
        assert main([*given, str(folder / "out")]) == 2
    (folder / "mine").mkdir()
    (folder / "mine" / "notes.txt").write_text("mine")
    assert main([*given, str(folder / "mine")]) == 2
    assert main([*given, str(folder / "x"), "--workers", "99"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert [line[:6] for line in errors] == ["error:"] * 3
    assert "is being written by process" in errors[0]
    assert "was not written by 'vlsuite data ingest'" in errors[1]
    assert "--host-connections" in errors[2]
