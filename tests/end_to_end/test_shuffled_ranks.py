"""Narrow windows over one process and two: one order, continued exactly; hosts must agree."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support.runs import make_shards, run_to_end, small_config
from tests.support.warm_processes import exit_codes, start_ranks
from vlsuite.engine.distributed import start_distributed
from vlsuite.engine.run_folder import RunFolder
from vlsuite.engine.train_loop import train
from vlsuite.errors import DataError

NARROW = ("data.window_shards=2", "data.window_samples=24", "logging.uids=true")


def continue_run(root: Path) -> None:
    """Inside each of two processes: go on with what one began."""
    ctx = start_distributed(threads=1)
    train(_config(root / "shards", steps=9), ctx, RunFolder(root / "run"))


def train_on_two_copies(root: Path) -> None:
    """Inside each of two processes, as on hosts with a copy each."""
    ctx = start_distributed(threads=1)
    shards = root / ("shards" if ctx.is_first else "copy")
    (root / "refused").mkdir(exist_ok=True)
    ctx.barrier()
    with pytest.raises(DataError, match="those of process 1 have other content than those of pro"):
        train(_config(shards, steps=2), ctx, RunFolder(root / "refused"))


def test_two_processes_continue_the_order_of_one(tmp_path):
    make_shards(tmp_path)
    run_to_end(_config(tmp_path / "shards", steps=9), tmp_path / "whole")
    run_to_end(_config(tmp_path / "shards", steps=4), tmp_path / "run")
    log = tmp_path / "log"
    codes = exit_codes(start_ranks(2, continue_run, tmp_path, log=log))
    assert codes == [0, 0], log.read_text()[-3000:]
    expected, found = _uids(tmp_path / "whole"), _uids(tmp_path / "run")
    assert found == expected
    assert len({uid for step in range(1, 7) for uid in found[step]}) == 96


def test_processes_with_other_copies_of_the_shards_are_refused(tmp_path):
    make_shards(tmp_path)
    shutil.copytree(tmp_path / "shards", tmp_path / "copy")
    shard = tmp_path / "copy" / "shard-000001.tar"
    shard.write_bytes(shard.read_bytes().replace(b"circle", b"CIRCLE"))
    log = tmp_path / "log"
    codes = exit_codes(start_ranks(2, train_on_two_copies, tmp_path, log=log))
    assert codes == [0, 0], log.read_text()[-3000:]


def _config(shards, *, steps):
    return small_config(shards, f"duration={steps}steps", "optim.schedule=constant", *NARROW)


def _uids(run: Path) -> dict[int, list[str]]:
    """Of each step, over the processes in their order."""
    found: dict[int, list[str]] = {}
    for path in sorted((run / "uids").glob("rank-*.jsonl")):
        for line in map(json.loads, path.read_text().splitlines()):
            found.setdefault(line["step"], []).extend(line["uids"])
    return found
