"""What ends a run from inside or outside leaves a clear message and a run that continues."""

import contextlib
import gc
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import open_clip
import pytest
import torch

from tests.support.runs import make_shards, run_to_end, small_config
from tests.support.warm_processes import exit_codes, start, start_command
from tests.support.words import CONTEXT_LENGTH, word_tokenizer_folder
from vlsuite.engine import train_loop
from vlsuite.engine.checkpoint import list_checkpoints
from vlsuite.engine.distributed import start_distributed
from vlsuite.engine.run_folder import RunFolder
from vlsuite.engine.train_loop import train
from vlsuite.engine.watchdog import Watchdog
from vlsuite.errors import (
    CheckpointError,
    LostContactError,
    RunFolderError,
    StopRequestedError,
    TrainingStoppedError,
)

STEPS = ("duration=6steps", "checkpoint.every=2steps")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def undisturbed(shards, tmp_path_factory):
    """Losses of 6 steps."""
    _, losses = run_to_end(small_config(shards, *STEPS), tmp_path_factory.mktemp("whole") / "run")
    return losses


def _train(config, folder, *evaluators):
    """Train, with a hook that runs at the end of the steps in validation.every."""
    run = RunFolder(folder)
    ctx = start_distributed(threads=1)
    run.create("test", config)
    return train(config, ctx, run, evaluators)


def _once(action):
    """An evaluator that does something to the run, the first time only."""
    done = []

    def evaluate(_model):
        if not done:
            done.append(True)
            action()
        return []

    return evaluate


def _wait_until(condition, process):
    until = time.monotonic() + 120
    while not condition():
        assert process.exitcode is None
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_stop_signal_saves_and_the_run_continues(shards, undisturbed, tmp_path, number):
    config = small_config(shards, *STEPS, "checkpoint.every=100steps", "validation.every=3steps")
    ask = _once(lambda: os.kill(os.getpid(), number))
    with pytest.raises(StopRequestedError, match=r"saved at step 3; continue with --resume"):
        _train(config, tmp_path / "run", ask)
    assert StopRequestedError.exit_code == 75
    _, losses = run_to_end(config, tmp_path / "run")
    assert losses == undisturbed
    assert signal.getsignal(number) == signal.SIG_DFL


def _asked_while_it_waits(build_stream, steps):
    """Some steps, then a stop signal and a batch that does not come."""

    class Waiting:
        def __init__(self, *args):
            self._stream = build_stream(*args)

        def from_position(self, start):
            yield from islice(self._stream.from_position(start), steps)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)

    return Waiting


@pytest.mark.parametrize("steps", [0, 2])
def test_a_stop_signal_is_heeded_while_a_batch_does_not_come(
    shards, undisturbed, tmp_path, monkeypatch, steps
):
    config = small_config(shards, *STEPS)
    with monkeypatch.context() as patched:
        waiting = _asked_while_it_waits(train_loop.build_stream, steps)
        patched.setattr(train_loop, "build_stream", waiting)
        started = time.monotonic()
        with pytest.raises(StopRequestedError, match=rf"saved at step {steps}; continue with"):
            _train(config, tmp_path / "run")
        assert time.monotonic() - started < 50
    _, losses = run_to_end(config, tmp_path / "run")
    assert losses == undisturbed


def test_a_loss_that_is_no_number_saves_the_uids_and_no_checkpoint(shards, tmp_path):
    config = small_config(shards, *STEPS, "optim.lr=1e30", "optim.warmup_steps=1")
    with pytest.raises(TrainingStoppedError, match=r"not-finite-step-\d{8}\.json"):
        _train(config, tmp_path / "run")
    (report,) = (tmp_path / "run").glob("not-finite-step-*.json")
    found = json.loads(report.read_text())
    assert found["loss"] in ("nan", "inf", "-inf")
    assert [len(uids) for uids in found["uids_by_rank"]] == [config.global_batch_size]
    steps = [int(p.name[5:]) for p in list_checkpoints(tmp_path / "run" / "checkpoints")]
    assert all(step < found["step"] for step in steps)


def test_a_damaged_checkpoint_is_set_aside_for_the_one_before_it(
    shards, undisturbed, tmp_path, capsys
):
    config = small_config(shards, *STEPS)
    run_to_end(config, tmp_path / "run")
    newest = list_checkpoints(tmp_path / "run" / "checkpoints")[-1]
    weights = newest / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    _, losses = run_to_end(config, tmp_path / "run")
    assert losses == undisturbed
    assert "step_00000006 is damaged (the content of weights.safetensors" in capsys.readouterr().err
    assert newest.with_name("step_00000006.damaged").is_dir()
    assert newest.is_dir()


def test_logs_are_cut_back_to_the_checkpoint(shards, undisturbed, tmp_path):
    config = small_config(shards, *STEPS, "logging.uids=true")
    run_to_end(config, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step_00000006")
    with (tmp_path / "run" / "metrics.jsonl").open("a") as log:
        log.write('{"kind": "train", "step": 7, "lo')
    _, losses = run_to_end(config, tmp_path / "run")
    assert losses == undisturbed
    lines = (tmp_path / "run" / "uids" / "rank-00000.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    uids = [uid for line in lines for uid in json.loads(line)["uids"]]
    assert len(set(uids)) == len(uids) == 96


@pytest.fixture
def small_disk(tmp_path):
    """A file system of a few MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs is not permitted")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_leaves_the_older_checkpoint_and_a_run_that_continues(
    shards, undisturbed, small_disk
):
    config = small_config(shards, *STEPS, "validation.every=3steps")
    filler = small_disk / "filler"

    def fill():
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as stream:
            while True:
                stream.write(bytes(1 << 16))

    with pytest.raises((CheckpointError, RunFolderError), match="free some disk"):
        _train(config, small_disk / "run", _once(fill))
    checkpoints = small_disk / "run" / "checkpoints"
    assert [path.name for path in list_checkpoints(checkpoints)] == ["step_00000002"]
    filler.unlink()
    _, losses = run_to_end(config, small_disk / "run")
    assert losses == undisturbed


def test_a_killed_worker_ends_the_run_and_it_continues(shards, undisturbed, tmp_path):
    config = small_config(shards, *STEPS, "data.num_workers=1", "validation.every=3steps")

    def strike():
        for process in multiprocessing.active_children():
            os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(LostContactError, match="decoding process was lost"):
        _train(config, tmp_path / "run", _once(strike))
    gc.collect()  # the first run's loader, which raises at any later end of a child
    _, losses = run_to_end(config, tmp_path / "run")
    assert losses == undisturbed


def _endless(shards, run):
    """Arguments of a run with short time limits."""
    return [
        *("train", "cifar10", "--out", run),
        *("--set", f"data.train={shards}", "--set", f"model.tokenizer={word_tokenizer_folder()}"),
        *("--set", f"model.context_length={CONTEXT_LENGTH}", "--set", "validation.data="),
        *("--set", "duration=5000steps", "--set", "global_batch_size=16"),
        *("--set", "data.num_workers=1", "--set", "threads=1", "--set", "logging.every=1steps"),
        *("--set", "stall_timeout=1", "--set", "data.worker_timeout=3"),
    ]


def _children(process):
    told = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert told
    return [int(pid) for pid in told]


def test_a_worker_that_hangs_ends_the_run(shards, tmp_path):
    """Stopped in whatever it does; a batch it has announced can then not be fetched either."""
    log = tmp_path / "log.txt"
    log.write_text("")
    process = start_command(*_endless(shards, tmp_path / "run"), log=log)
    try:
        _wait_until(lambda: "\nstep 3/" in log.read_text(), process)
        children = _children(process)
        for pid in children:
            os.kill(pid, signal.SIGSTOP)
        assert exit_codes([process], timeout=60) == [LostContactError.exit_code]
    finally:
        process.kill()
    assert "error: no progress for" in log.read_text() or "no batch came for" in log.read_text()
    assert "--resume" in log.read_text()
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_run_that_was_suspended_goes_on(shards, tmp_path):
    """Ctrl-Z, for longer than both of its time limits (6 and 3 seconds)."""
    log = tmp_path / "log.txt"
    log.write_text("")
    process = start_command(*_endless(shards, tmp_path / "run"), log=log)
    try:
        _wait_until(lambda: "\nstep 3/" in log.read_text(), process)
        everyone = [process.pid, *_children(process)]
        for pid in everyone:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(8)
        number = log.read_text().count("\nstep ")
        for pid in everyone:
            os.kill(pid, signal.SIGCONT)
        _wait_until(lambda: log.read_text().count("\nstep ") > number + 20, process)
        os.kill(process.pid, signal.SIGTERM)
        assert exit_codes([process], timeout=60) == [75]
    finally:
        process.kill()


def _train_until_killed(config, run, told):
    """Tell the numbers of the worker processes, and die."""

    def strike(_model):
        told.write_text(" ".join(str(p.pid) for p in multiprocessing.active_children()))
        os.kill(os.getpid(), signal.SIGKILL)

    _train(config, run, strike)


def test_workers_end_with_a_killed_run(shards, tmp_path):
    """Nobody is left to take their batches; they must not stay for ever."""
    settings = ("data.num_workers=2", "data.prefetch=8", "validation.every=2steps")
    config = small_config(shards, *settings)
    told = tmp_path / "workers"
    process = start(_train_until_killed, config, tmp_path / "run", told)
    assert exit_codes([process]) == [-signal.SIGKILL]
    workers = [int(pid) for pid in told.read_text().split()]
    assert len(workers) == 2
    until = time.monotonic() + 15
    while any(Path(f"/proc/{pid}/cmdline").exists() for pid in workers):
        assert time.monotonic() < until, f"workers {workers} outlive their run"
        time.sleep(0.1)


def test_the_watchdog_ends_a_process_that_hangs(tmp_path):
    program = (
        "import time; from pathlib import Path; from vlsuite.engine.watchdog import Watchdog\n"
        f"dog = Watchdog(0.2, Path({str(tmp_path / 'stacks.txt')!r}))\n"
        "dog._limit = 0.5\n"
        "with dog.watching():\n"
        "    dog.enter('waiting for data')\n"
        "    time.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == LostContactError.exit_code == 76
    assert "while waiting for data" in done.stderr
    assert "--resume" in done.stderr
    assert (
        "time.sleep" in (tmp_path / "stacks.txt").read_text()
        or "<string>" in (tmp_path / "stacks.txt").read_text()
    )


def test_the_watchdog_lets_long_evaluations_be(tmp_path):
    dog = Watchdog(0.0, tmp_path / "stacks.txt")
    with dog.watching():
        dog.enter("waiting for data")
        dog.rest()
        time.sleep(0.1)
    assert not (tmp_path / "stacks.txt").exists()


def test_running_statistics_are_part_of_a_checkpoint(shards, tmp_path):
    """A residual network keeps them in buffers, not in parameters."""
    architecture = {
        "embed_dim": 64,
        "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 16, "patch_size": None},
        "text_cfg": {"context_length": 77, "vocab_size": 64, "width": 64, "heads": 2, "layers": 2},
    }
    (tmp_path / "tiny-resnet.json").write_text(json.dumps(architecture))
    open_clip.add_model_config(tmp_path / "tiny-resnet.json")
    config = small_config(shards, *STEPS, "model.name=tiny-resnet")
    state, losses = run_to_end(config, tmp_path / "run")
    whole = {name: value.clone() for name, value in state.engine.module.named_buffers()}
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step_00000006")
    state, resumed = run_to_end(config, tmp_path / "run")
    assert resumed == losses
    means = [name for name in whole if name.endswith("running_mean")]
    assert means
    for name, value in state.engine.module.named_buffers():
        torch.testing.assert_close(value, whole[name], rtol=0, atol=0)


def test_other_shards_under_a_checkpoint_are_named(shards, tmp_path, capsys):
    config = small_config(shards, "duration=2steps")
    run_to_end(config, tmp_path / "run")
    moved = tmp_path / "moved"
    shutil.copytree(shards, moved)
    longer = "duration=4steps"
    run_to_end(small_config(moved, longer), tmp_path / "run")
    assert "training shards" not in capsys.readouterr().err
    (tmp_path / "more").mkdir()
    other = make_shards(tmp_path / "more", num_samples=80)
    run_to_end(small_config(other, "duration=6steps"), tmp_path / "run")
    assert "the training shards, their subset or mixture" in capsys.readouterr().err


def _try_to_hold(run, answer):
    try:
        with RunFolder(run).held():
            answer.write_text("held")
    except RunFolderError as error:
        answer.write_text(str(error))


def test_two_runs_do_not_write_one_folder(shards, tmp_path):
    """The lock is a record lock, so the second run has to be another process."""
    config = small_config(shards, *STEPS, "validation.every=3steps")
    seen = []

    def second():
        answer = tmp_path / f"answer-{len(seen)}"
        assert exit_codes([start(_try_to_hold, tmp_path / "run", answer)]) == [0]
        seen.append(answer.read_text())

    _train(config, tmp_path / "run", _once(second))
    second()
    assert f"another run is writing {tmp_path / 'run'} (process {os.getpid()} on" in seen[0]
    assert seen[1] == "held"


def test_checkpoints_that_lost_a_file_do_not_start_the_run_anew(shards, tmp_path):
    config = small_config(shards, *STEPS)
    run_to_end(config, tmp_path / "run")
    log = (tmp_path / "run" / "metrics.jsonl").read_text()
    for path in list_checkpoints(tmp_path / "run" / "checkpoints"):
        (path / "state.json").unlink()
    with pytest.raises(
        CheckpointError,
        match=r"is intact \(the newest, step_00000006: state\.json",
    ):
        run_to_end(config, tmp_path / "run")
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == log


def test_a_failed_start_leaves_the_files_of_a_run_that_began_meanwhile(tmp_path):
    mine, other = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "run")
    with mine.tried():  # and never holds the folder
        other.metrics.write_text("of the other\n")
    assert other.metrics.read_text() == "of the other\n"
