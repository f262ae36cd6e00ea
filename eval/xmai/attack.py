"""Perturb all captions of a data set: portions of pictures, several processes, resumable.

A portion is a fixed number of pictures whatever the number of processes, and everything is
computed within it, on one thread a process: files are therefore equal byte for byte for any
number of workers. Each finished portion is a file of its own that appears whole; the last step
joins them. Killed at any point and started again, no caption is lost or comes twice.
"""

import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from data_pipelines.bounded_json import read_object
from data_pipelines.end_with_parent import end_with_parent
from data_pipelines.shards.atomic import make_folder, replacing, write_file
from eval.errors import EvaluationError
from eval.progress import Progress
from eval.xmai.chunks import CaptionSource, Method
from eval.xmai.records import FORMAT, line_of

#: What the folder of a run ends with.
OUTPUT = "perturbed.jsonl"
PICTURES_PER_CHUNK = 32

_CHUNKS = "chunks"
_STATE = "state.json"
_CHUNKS_AHEAD = 3

#: Makes the method for a source in the process that runs it; must be picklable.
Builder = Callable[[CaptionSource], Method]


@dataclass(frozen=True, kw_only=True, slots=True)
class AttackPlan:
    """What to run.

    Args:
        source: the captions.
        build: makes the method.
        settings: all that the outcome depends on besides data and models, "method" among them;
            JSON values.
        out: folder of the run.
        workers: processes, at least 1.
        pictures_per_chunk: changes how texts are batched, hence part of the settings.
    """

    source: CaptionSource
    build: Builder
    settings: dict[str, Any]
    out: Path
    workers: int = 1
    pictures_per_chunk: int = PICTURES_PER_CHUNK


class _Worker:
    """A method and its source, in the process that runs them."""

    def __init__(self, source: CaptionSource, method: Method, folder: Path, size: int) -> None:
        self._source = source
        self.method = method
        self._folder = folder
        self._size = size

    def run(self, number: int) -> int:
        """Perturb one portion and write it; returns how many captions it has."""
        start = number * self._size
        chunk = self._source.chunk(
            start, start + self._size, with_pictures=self.method.needs_pictures
        )
        captions = self.method.perturb(chunk)
        lines = b"".join(line_of(caption.to_json()) for caption in captions)
        write_file(_chunk_path(self._folder, number), lines)
        return len(captions)


def run_attack(plan: AttackPlan) -> Path:
    """Run what is missing; returns the finished file.

    Raises:
        EvaluationError: the folder holds another run, or a worker died.
        DataError: the folder cannot be written or the disk is full.
    """
    path = plan.out / OUTPUT
    make_folder(plan.out / _CHUNKS)
    count = -(-len(plan.source) // plan.pictures_per_chunk)
    with _Executor(plan) as executor:
        header = _header(plan, executor.models())
        _claim(plan.out, header)
        if not _is_finished(path, header):
            missing = [i for i in range(count) if not _chunk_path(plan.out, i).is_file()]
            _run_missing(plan, executor, missing)
            _join(plan.out, path, header, count)
    shutil.rmtree(plan.out / _CHUNKS, ignore_errors=True)
    return path


def _run_missing(plan: AttackPlan, executor: "_Executor", missing: list[int]) -> None:
    size = plan.pictures_per_chunk
    progress = Progress("perturbing", total=len(plan.source), unit="pictures")
    total = -(-len(plan.source) // size)
    progress.add((total - len(missing)) * size)
    try:
        for number in executor.run(missing):
            progress.add(min(size, len(plan.source) - number * size))
    finally:
        progress.close()


def _header(plan: AttackPlan, models: dict[str, dict[str, str]]) -> dict[str, Any]:
    settings = plan.settings | {"pictures_per_chunk": plan.pictures_per_chunk}
    return {
        "format": FORMAT,
        "method": plan.settings["method"],
        "data": plan.source.description,
        "settings": settings,
        "models": models,
    }


def _claim(folder: Path, header: dict[str, Any]) -> None:
    """Say what the folder is for, unless it is for something else."""
    state = folder / _STATE
    content = line_of(header)
    if state.is_file() and state.read_bytes() != content:
        raise EvaluationError(
            f"{folder} holds another run ({_difference(state, header)}); choose another --out, or "
            "remove it"
        )
    write_file(state, content)


def _difference(state: Path, header: dict[str, Any]) -> str:
    try:
        old = read_object(state)
    except (OSError, ValueError):
        return f"{state.name} is broken"
    for part in ("data", "settings", "models"):
        before, now = old.get(part), header[part]
        before = before if isinstance(before, dict) else {}
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                return f"{part}.{key} was {before.get(key)}, is {now.get(key)}"
    return "its format differs"


def _is_finished(path: Path, header: dict[str, Any]) -> bool:
    try:
        with path.open("rb") as file:
            return file.readline() == line_of(header)
    except OSError:
        return False


def _join(folder: Path, path: Path, header: dict[str, Any], count: int) -> None:
    with replacing(path) as file:
        file.write(line_of(header))
        for number in range(count):
            file.write(_chunk_path(folder, number).read_bytes())


def _chunk_path(folder: Path, number: int) -> Path:
    return folder / _CHUNKS / f"{number:06d}.jsonl"


class _Executor:
    """Runs portions here or in other processes."""

    def __init__(self, plan: AttackPlan) -> None:
        self._plan = plan
        self._pool: ProcessPoolExecutor | None = None
        self._worker: _Worker | None = None
        self._threads = torch.get_num_threads()

    def __enter__(self) -> "_Executor":
        plan = self._plan
        arguments = (plan.source, plan.build, plan.out, plan.pictures_per_chunk)
        if plan.workers == 1:
            torch.set_num_threads(1)
            self._worker = _Worker(
                plan.source, plan.build(plan.source), plan.out, plan.pictures_per_chunk
            )
        else:
            self._pool = ProcessPoolExecutor(
                plan.workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_start,
                initargs=arguments,
            )
        return self

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self._threads)
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def models(self) -> dict[str, dict[str, str]]:
        """Of the method, by role."""
        if self._worker:
            return self._worker.method.models
        assert self._pool is not None
        return _result(self._pool.submit(_models))

    def run(self, numbers: list[int]) -> Iterator[int]:
        """Run portions; yields the number of each that is done."""
        if self._worker:
            for number in numbers:
                self._worker.run(number)
                yield number
            return
        assert self._pool is not None
        waiting, pending = list(reversed(numbers)), {}
        while waiting or pending:
            while waiting and len(pending) < self._plan.workers * _CHUNKS_AHEAD:
                number = waiting.pop()
                pending[self._pool.submit(_run, number)] = number
            for future in wait(pending, return_when="FIRST_COMPLETED").done:
                _result(future)
                yield pending.pop(future)


def _result(future: Future) -> Any:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise EvaluationError(
            "a worker process died (out of memory, or killed); the same command goes on from the "
            "finished portions, with fewer --workers if memory was short"
        ) from error


_here: _Worker | None = None
_failure: Exception | None = None


def _start(source: CaptionSource, build: Builder, folder: Path, size: int) -> None:
    """Prepare a worker process. A failure is kept for the first portion to report."""
    global _here, _failure
    end_with_parent()
    torch.set_num_threads(1)
    try:
        _here = _Worker(source, build(source), folder, size)
    except Exception as error:
        _failure = error


def _ready() -> _Worker:
    if _here is None:
        assert _failure is not None
        raise _failure
    return _here


def _models() -> dict[str, dict[str, str]]:
    return _ready().method.models


def _run(number: int) -> int:
    return _ready().run(number)
