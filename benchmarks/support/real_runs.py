"""Small training runs in processes that can be killed: the product's own command, several ranks.

The processes are forked from a server that has imported torch, DeepSpeed and vlsuite once, so
that a hundred restarts do not spend their time on imports; everything after the imports is what
``vlsuite train`` does. ``cold=True`` starts plain interpreters instead.
"""

import gc
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Imported once by the fork server.
_PRELOADED = (
    "deepspeed",
    "deepspeed.runtime.zero.muon.muon_optimizer",
    "deepspeed.module_inject.auto_ep_config",
    "deepspeed.runtime.zero.stage3",
    "tensorboard",
    "tensorboard.summary.writer.record_writer",
    "torch._inductor.compile_fx",
    "torch._dynamo.repro.after_dynamo",
    "transformers",
    "vlsuite.cli.train",
    "vlsuite.engine.train_loop",
    "vlsuite.recipes",
)

_RECIPE = "cifar10"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSettings:
    """One run, always the same however often it is started.

    Attributes:
        data: folder made by :func:`make_data`.
        out: run folder.
        stage: of ZeRO.
        processes: ranks on this machine.
        steps: optimizer steps to train.
        overrides: more ``--set`` values.
    """

    data: Path
    out: Path
    stage: int
    processes: int
    steps: int
    overrides: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """Of ``vlsuite``."""
        settings = [
            "model.name=vlsuite-tiny-32",
            "model.context_length=24",
            f"model.tokenizer={self.data / 'tokenizer'}",
            f"data.train={self.data / 'shards'}",
            "data.num_workers=1",
            "optim.lr=1e-3",
            "optim.warmup_steps=2",
            f"duration={self.steps}steps",
            "global_batch_size=32",
            f"deepspeed=zero{self.stage}",
            "threads=1",
            "logging.every=1steps",
            "logging.uids=true",
            "validation.data=",
            "checkpoint.every=3steps",
            "stall_timeout=60",
            *self.overrides,
        ]
        words = ["train", _RECIPE, "--out", str(self.out), "--auto-resume"]
        return words + [word for setting in settings for word in ("--set", setting)]

    def losses(self) -> list[float]:
        """Loss of each step as the run logged it."""
        return [line["loss"] for line in _lines(self.out / "metrics.jsonl") if "loss" in line]

    def uids(self) -> list[str]:
        """Uids of all steps in batch order, over all processes."""
        by_step: dict[int, list[str]] = {}
        for path in sorted((self.out / "uids").glob("rank-*.jsonl")):
            for line in _lines(path):
                by_step.setdefault(line["step"], []).extend(line["uids"])
        return [uid for step in sorted(by_step) for uid in by_step[step]]


class StartedRun:
    """The processes of one start of a run.

    Args:
        settings: of the run.
        log: everything the processes print.
        cold: start interpreters instead of forking from the server.
    """

    def __init__(self, settings: RunSettings, log: Path, *, cold: bool = False) -> None:
        self._log = log
        self.settings = settings
        self.started = time.monotonic()
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        port = free_port()
        self._processes = [self._start(rank, port, cold=cold) for rank in range(settings.processes)]

    def _start(self, rank: int, port: int, *, cold: bool) -> Any:
        size, words = self.settings.processes, self.settings.arguments()
        env = rank_environment(rank, size, port)
        if cold:
            with self._log.open("ab") as output:
                command = [sys.executable, "-m", "vlsuite", *words]
                return subprocess.Popen(command, env=os.environ | env, stdout=output, stderr=output)
        process = _server().Process(target=_train, args=(env, words, str(self._log)))
        process.start()
        return process

    def kill(self, ranks: Sequence[int]) -> bool:
        """SIGKILL; whether every one of ``ranks`` was still alive."""
        alive = all(self._code(rank) is None for rank in ranks)
        for rank in ranks:
            if self._code(rank) is None:
                os.kill(self._processes[rank].pid, signal.SIGKILL)
        return alive

    def wait(self, *, timeout: float) -> list[int | None]:
        """Exit codes of all ranks; None for one that still runs when ``timeout`` s are over."""
        until = time.monotonic() + timeout
        while time.monotonic() < until and any(c is None for c in self.codes()):
            time.sleep(0.05)
        return self.codes()

    def codes(self) -> list[int | None]:
        """Exit codes as of now; None for a process that runs."""
        return [self._code(rank) for rank in range(len(self._processes))]

    def first_step_after(self, *, timeout: float) -> float | None:
        """Seconds from the start to the first finished step; None where none came."""
        until = self.started + timeout
        while time.monotonic() < until:
            if b"\nstep " in self._log.read_bytes():
                return time.monotonic() - self.started
            if all(code is not None for code in self.codes()):
                return None
            time.sleep(0.02)
        return None

    def output(self) -> str:
        """What the processes printed so far."""
        return self._log.read_text(errors="replace")

    def _code(self, rank: int) -> int | None:
        process = self._processes[rank]
        return process.poll() if isinstance(process, subprocess.Popen) else process.exitcode


def make_data(folder: Path, *, num_samples: int, seed: int) -> None:
    """Shards of drawn shapes and a small vocabulary learned from their captions."""
    from data_pipelines.skips import Skips
    from data_pipelines.sources.source import Target
    from data_pipelines.sources.synthetic import SyntheticSource
    from vlsuite.batches.tokenizer import train_tokenizer

    source = SyntheticSource(num_samples=num_samples, side=32, seed=seed)
    source.build(Target(out_dir=folder / "shards", max_samples=64))
    captions = [text for sample in source.samples(Skips()) for text in sample.captions]
    train_tokenizer(captions, vocab_size=200, out_dir=folder / "tokenizer", context_length=24)


def each_uid_once_an_epoch(uids: Sequence[str], *, num_samples: int) -> bool:
    """Whether every whole epoch of a sequence holds every sample once, and the rest none twice."""
    epochs = [uids[i : i + num_samples] for i in range(0, len(uids), num_samples)]
    everyone = set(epochs[0]) if epochs else set()
    whole = [epoch for epoch in epochs if len(epoch) == num_samples]
    return (
        len(everyone) == num_samples
        and all(set(epoch) == everyone for epoch in whole)
        and all(len(set(epoch)) == len(epoch) for epoch in epochs)
    )


def rank_environment(rank: int, world_size: int, port: int) -> dict[str, str]:
    """What a launcher tells a process on a single machine."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "DS_ACCELERATOR": "cpu",
    }


def free_port() -> int:
    """A TCP port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _server() -> Any:
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOADED))
    return context


def _train(env: dict[str, str], words: list[str], log: str) -> None:
    """Runs in the forked process."""
    from vlsuite.cli.main import main

    gc.freeze()  # what the server imported is not looked through, which would copy its pages
    output = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(env)
    sys.argv = ["vlsuite", *words]
    # multiprocessing marks its processes as daemonic children; these have workers of their own.
    sys.exit(main(words))


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
