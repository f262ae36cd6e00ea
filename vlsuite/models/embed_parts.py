"""Embeddings of all items of some parts, by one process or several, written part by part.

On a CPU every process computes with one thread, so that one process and many give the same bytes;
they are forked after the model was loaded, and share its weights. On a GPU one process computes
while threads decode. Batches never reach over the end of a part.
"""

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from typing import NamedTuple

import numpy as np
import torch

from data_pipelines.embeddings.item import BOTH, IMAGES, TEXTS, Item, Part, Wanted
from data_pipelines.embeddings.writing import EmbeddingsWriter, PartDone, Skip
from data_pipelines.end_with_parent import end_with_parent
from vlsuite.errors import ConfigError, DataError
from vlsuite.models.embedding import DTYPES, Embedder, Embedding, embedded_batches

Progress = Callable[[int], None]


class Embedded(NamedTuple):
    """What was done: what became of every part, and how many were made now."""

    parts: list[PartDone]
    num_new: int


def embed_parts(
    model: Embedder,
    parts: Sequence[Part],
    writer: EmbeddingsWriter,
    how: Embedding,
    *,
    workers: int,
    progress: Progress | None = None,
) -> Embedded:
    """Embed and write every part that is not stored yet.

    Args:
        workers: processes on a CPU; decoding threads on a GPU.
        progress: called with the rows of each part that is done.
    Raises:
        DataError: a part cannot be read, the model gives NaN, the folder cannot be written.
        ConfigError: a process was killed, for lack of memory perhaps.
    """
    done: dict[int, PartDone] = {}
    for number, part in enumerate(parts):
        if (known := writer.done(number, part)) is not None:
            done[number] = known
            _tell(progress, part.num_rows)
    todo = [number for number in range(len(parts)) if number not in done]
    work = _Work(model, parts, writer, how, 0)
    if torch.device(model.device).type != "cpu":
        found = map(work._replace(threads=workers), todo)
    else:
        found = _on_cpu(work, todo, min(workers, len(todo)))
    for number, one in zip(todo, found, strict=True):
        done[number] = one
        _tell(progress, parts[number].num_rows)
    return Embedded([done[number] for number in range(len(parts))], len(todo))


class _Work(NamedTuple):
    """Makes a part by its number."""

    model: Embedder
    parts: Sequence[Part]
    writer: EmbeddingsWriter
    how: Embedding
    threads: int

    def __call__(self, number: int) -> PartDone:
        part = self.parts[number]
        items, vectors, skips = embed_part(self.model, part, self.how, threads=self.threads)
        return self.writer.write(number, part, items=items, vectors=vectors, skips=skips)


#: Work of the forked processes, which find it here.
_forked: list[_Work] = []


def _on_cpu(work: _Work, todo: Sequence[int], workers: int) -> Iterator[PartDone]:
    with _one_thread():
        if workers <= 1:
            yield from map(work, todo)
            return
        _forked[:] = [work]
        others = set(active_children())
        try:
            # Forked: the weights are shared, and torch is imported once. With one thread torch
            # has no pool of threads, which a fork would lose.
            with ProcessPoolExecutor(
                workers, mp_context=get_context("fork"), initializer=_begin
            ) as pool:
                jobs = [pool.submit(_run_forked, number) for number in todo]
                try:
                    for job in jobs:
                        yield job.result()
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    for process in set(active_children()) - others:
                        process.terminate()
                    raise
        except BrokenProcessPool as error:
            raise ConfigError(
                "a process was killed while it embedded, for lack of memory perhaps; run the "
                f"command again, it goes on (--workers {max(1, workers // 2)} takes less)"
            ) from error
        finally:
            _forked.clear()


def _begin() -> None:
    """Of a forked process: Ctrl-C ends it without a word, the process that made it tells."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_parent()


def _run_forked(number: int) -> PartDone:
    torch.set_num_threads(1)
    return _forked[0](number)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def embed_part(
    model: Embedder, part: Part, how: Embedding, *, threads: int = 0
) -> tuple[list[Item], dict[str, np.ndarray], list[Skip]]:
    """Items of a part that could be embedded, their vectors, and the others with their reasons.

    Args:
        threads: that decode ahead; 0 decodes in between.
    Raises:
        DataError: the part cannot be read, or the model gives NaN.
    """
    how = how.on(model.device)
    items: list[Item] = []
    skips: list[Skip] = []
    found: dict[str, list[np.ndarray]] = {kind: [] for kind in _kinds(how)}
    wanted = part.items(Wanted.of(how.kind))
    for batch in embedded_batches(model, wanted, how, device=model.device, threads=threads):
        skips += batch.skips
        items += batch.items
        for kind, vectors in batch.vectors.items():
            if not np.isfinite(vectors).all():
                raise DataError(f"model {model.name} gives vectors that are no numbers (NaN)")
            found[kind].append(vectors.astype(DTYPES[how.dtype]))
    nothing = np.zeros((0, model.embed_dim), DTYPES[how.dtype])
    return items, {k: np.concatenate([nothing, *own]) for k, own in found.items()}, skips


def _kinds(how: Embedding) -> tuple[str, ...]:
    return (IMAGES, TEXTS) if how.kind == BOTH else (how.kind,)


def _tell(progress: Progress | None, rows: int) -> None:
    if progress is not None:
        progress(rows)
