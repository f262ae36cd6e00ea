"""Trainings on clips of sprites (``vlsuite data build motion``), kept in one folder."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.support.timed_process import BenchmarkError
from vlsuite.models.folders import is_finished


class MotionData(NamedTuple):
    """What ``vlsuite data build motion`` is asked for; counts, but for the side in pixels.

    With ``gop`` 1 every frame is coded alone, so that some frames of a long clip cost no more than
    those of a short one.

    Attributes:
        kinds: of question, with commas; empty for all.
        gop: frames from one key frame to the next.
    """

    clips: int
    validation: int
    test: int
    frames: int
    side: int
    sprites: int
    kinds: str = ""
    gop: int = 12


class MotionRuns:
    """Data and runs in one folder; what is there is not made again.

    Args:
        work: the folder.
        threads: of each training.
    """

    def __init__(self, work: Path, *, threads: int) -> None:
        self._work, self._threads = work, threads

    @property
    def data(self) -> Path:
        """Training, validation and both tests."""
        return self._work / "motion"

    @property
    def tokenizer(self) -> Path:
        """Of the captions."""
        return self._work / "tokenizer"

    def make_data(self, asked: MotionData) -> None:
        """Clips and a tokenizer of their captions, where they are not there yet."""
        if not (self.data / "manifest.json").exists():
            self.vlsuite(
                "data", "build", "motion", "--train", asked.clips, "--test", asked.test,
                "--validation", asked.validation, "--frames", asked.frames, "--side", asked.side,
                "--sprites", asked.sprites, *(("--kinds", asked.kinds) if asked.kinds else ()),
                "--gop", asked.gop, "--out", self.data,
            )  # fmt: skip
        if not (self.tokenizer / "tokenizer.json").exists():
            train = self.data / "train"
            self.vlsuite("data", "tokenizer", train, "--vocab-size", 512, "--out", self.tokenizer)

    def train(self, name: str, settings: Sequence[str]) -> Path:
        """The run folder of a model of recipe "motion", trained to its end.

        Args:
            name: of the folder.
            settings: besides training clips and threads.
        """
        out = self._work / name
        told = [*settings, f"data.train={self.data / 'train'}", f"threads={self._threads}"]
        words = [word for setting in told for word in ("--set", setting)]
        if not is_finished(out):
            self.vlsuite("train", "motion", "--out", out, "--auto-resume", *words)
        return out

    def vlsuite(self, *words: object) -> None:
        """Run a command; its progress stays visible.

        Raises:
            BenchmarkError: it failed.
        """
        command = [sys.executable, "-P", "-m", "vlsuite", *map(str, words)]
        print("$ vlsuite " + " ".join(map(str, words)), flush=True)
        environment = {**os.environ, "OMP_NUM_THREADS": str(self._threads)}
        done = subprocess.run(command, stdout=subprocess.DEVNULL, env=environment)
        if done.returncode:
            raise BenchmarkError(f"'vlsuite {words[0]}' ended with {done.returncode}; see above")


def training_cost(run: Path, *, batch: int) -> dict[str, float]:
    """Samples and seconds of a training, from its log.

    Args:
        batch: samples of a step.
    """
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["kind"] == "train"]
    seconds = sum(
        (b["step"] - a["step"]) * batch / b["samples_per_s"]
        for a, b in zip([{"step": 0}, *steps], steps, strict=False)
        if b.get("samples_per_s")
    )
    return {"samples": steps[-1]["samples_seen"], "seconds": round(seconds)}
