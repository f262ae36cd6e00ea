"""Several processes stop together: when one is asked as it waits, when torchrun is killed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

from tests.support.runs import make_shards, small_config
from tests.support.warm_processes import exit_codes, start_ranks
from tests.support.words import CONTEXT_LENGTH, word_tokenizer_folder
from vlsuite.engine import train_loop
from vlsuite.engine.checkpoint import list_checkpoints
from vlsuite.engine.distributed import start_distributed
from vlsuite.engine.run_folder import RunFolder
from vlsuite.errors import StopRequestedError

_ROOT = Path(__file__).parents[2]
_PATIENCE = 120.0  # seconds


def _train_with_a_batch_that_does_not_come(shards: str, out: str, waiting_ranks: list[int]) -> None:
    """After two steps some processes get SIGTERM and no batch; the others have theirs."""
    ctx = start_distributed(threads=1, timeout=100.0)
    build_stream = train_loop.build_stream

    class Waiting:
        def __init__(self, *args):
            self._stream = build_stream(*args)

        def from_position(self, start):
            yield from islice(self._stream.from_position(start), 2)
            if ctx.rank not in waiting_ranks:
                yield from self._stream.from_position(start + 2 * 16)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(_PATIENCE)

    train_loop.build_stream = Waiting
    config = small_config(Path(shards))
    folder = RunFolder(Path(out))
    if ctx.is_first:
        folder.create("test", config)
    ctx.barrier()
    try:
        train_loop.train(config, ctx, folder)
    except StopRequestedError as error:
        print(error, flush=True)
        sys.exit(error.exit_code)


def _wait_for(condition):
    until = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_one_or_all_are_asked_while_a_batch_does_not_come(tmp_path):
    shards = make_shards(tmp_path)
    for waiting in ([1], [0, 1]):
        out = tmp_path / f"run{len(waiting)}"
        log = out.with_suffix(".log")
        words = (str(shards), str(out), waiting)
        ranks = start_ranks(2, _train_with_a_batch_that_does_not_come, *words, log=log)
        assert exit_codes(ranks, timeout=90) == [75, 75], log.read_text()[-3000:]
        assert [path.name for path in list_checkpoints(out / "checkpoints")] == ["step_00000002"]
        assert log.read_text().count("saved at step 2; continue with --resume") == 2


def test_torchrun_alone_is_killed(tmp_path):
    make_shards(tmp_path)
    environment = {**os.environ, "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(_ROOT)
    words = ["--nproc-per-node", "2", "-m", "vlsuite", "train", "cifar10", "--out", "run"]
    words += ["--set", "data.train=shards", "--set", "duration=100000steps"]
    words += ["--set", "global_batch_size=8", "--set", "data.num_workers=1"]
    words += ["--set", f"model.tokenizer={word_tokenizer_folder()}", "--set", "threads=1"]
    words += ["--set", f"model.context_length={CONTEXT_LENGTH}", "--set", "logging.every=1steps"]
    log = tmp_path / "log"
    with log.open("w") as stream:
        torchrun = subprocess.Popen(
            [Path(sys.executable).parent / "torchrun", *words],
            cwd=tmp_path,
            env=environment,
            stdout=stream,
            stderr=stream,
        )
    metrics = tmp_path / "run" / "metrics.jsonl"
    try:
        _wait_for(lambda: metrics.is_file() and '"kind": "train"' in metrics.read_text())
        ranks = _children(torchrun.pid)
        assert len(ranks) == 2
    finally:
        torchrun.kill()
        torchrun.wait()
    _wait_for(lambda: not any(_is_running(rank) for rank in ranks))
    (checkpoint,) = list_checkpoints(tmp_path / "run" / "checkpoints")
    last = json.loads(metrics.read_text().splitlines()[-1])
    assert checkpoint.name == f"step_{last['step']:08d}"
    # whichever of the two notices first tells the other
    assert (
        len(
            re.findall(
                r"stopped as asked \((its launcher is gone|another process)\) and saved",
                log.read_text(),
            )
        )
        == 2
    )
    assert "its launcher is gone" in log.read_text()


def _children(parent: int) -> list[int]:
    return [
        int(word) for word in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    ]


def _is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
