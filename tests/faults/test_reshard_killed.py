"""Resharding that is killed outright goes on where it was and gives the same bytes."""

import os
import signal
import subprocess
import sys
import time

import pytest

from data_pipelines.shards.folder import unfinished_place
from data_pipelines.subsets.making import make_subset
from data_pipelines.subsets.pool import open_pool
from data_pipelines.subsets.reshard import reshard
from data_pipelines.subsets.subset_file import write_subset
from tests.support.subsets import kept_table, own_pool, rows_of

_SLOWLY = """
import sys, time
from pathlib import Path
from data_pipelines.subsets.pool import open_pool
from data_pipelines.subsets.reshard import reshard
from data_pipelines.subsets.subset_file import read_subset

def slowly(work):
    for one in work:
        time.sleep(0.05)
        yield one

pool, subset, out = sys.argv[1:]
reshard(open_pool([pool]), read_subset(Path(subset)), Path(out), name=subset, max_samples=3,
        progress=slowly)
"""


@pytest.mark.parametrize("shards_before", [1, 4])
def test_a_killed_resharding_goes_on(tmp_path, monkeypatch, shards_before):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    pool_folder = own_pool(tmp_path / "pool", 60)
    pool = open_pool([str(pool_folder)])
    kept = rows_of(pool_folder)[::2]
    subset = make_subset(pool, kept_table(tmp_path / "kept.parquet", kept)).subset
    write_subset(subset, tmp_path / "some.subset")
    out = tmp_path / "new"
    given = [str(pool_folder), str(tmp_path / "some.subset"), str(out)]
    process = subprocess.Popen([sys.executable, "-c", _SLOWLY, *given])
    while len(list(unfinished_place(out).glob("*.tar"))) < shards_before:
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists()
    done = reshard(pool, subset, out, name="some", max_samples=3)
    assert done.num_kept_shards >= shards_before - 1  # one may lack its line
    reshard(pool, subset, tmp_path / "whole", name="some", max_samples=3)
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
