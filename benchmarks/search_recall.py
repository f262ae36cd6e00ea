"""What do searches among a million stored vectors find, and what do they cost?

Vectors are made up: many centres of unequal weight with noise around each, so that neighbours are
near and yet not equal, as embeddings of pictures are; questions are drawn from the same centres and
are no stored vectors. Exact search is compared with brute force by faiss. The indexes are those
of ``vlsuite search``; their recall at 10 is measured with these questions, not with those that set
how much they look at. Memory is the growth of a process of its own, at its highest.
"""

import argparse
import multiprocessing
import sys
import threading
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import faiss
import numpy as np

from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from data_pipelines.embeddings.approximate import (
    build_index,
    cost,
    open_index,
)
from data_pipelines.embeddings.exact import nearest
from data_pipelines.embeddings.folder import Embeddings, open_embeddings
from data_pipelines.embeddings.index_tuning import HNSW, IVF, IndexChoice
from data_pipelines.embeddings.item import Item
from data_pipelines.embeddings.listed_items import Listed, ListedPart
from data_pipelines.embeddings.writing import EmbeddingsWriter
from data_pipelines.errors import UserError

_PART = 100_000
_K = 10
_KIB = 1024
_LOOK_EVERY = 0.02  # seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """``centres`` that vectors lie around, ``spread`` of the noise against the centre's length."""

    vectors: int
    embed_dim: int
    centres: int
    spread: float
    questions: int
    recall: float
    seed: int


def main() -> int:
    """Measure and report; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--embed-dim", type=int, default=512)
    parser.add_argument("--centres", type=int, default=20_000)
    parser.add_argument("--spread", type=float, default=0.8)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--recall", type=float, default=0.98, help="that an index is asked for")
    parser.add_argument("--index", choices=(IVF, HNSW), action="append", help="default: both")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="20,000 vectors of 32 numbers")
    parser.add_argument("--save", action="store_true", help="append the record to results/")
    args = parser.parse_args()
    settings = Settings(
        vectors=20_000 if args.quick else args.vectors,
        embed_dim=32 if args.quick else args.embed_dim,
        centres=400 if args.quick else args.centres,
        spread=args.spread,
        questions=100 if args.quick else args.questions,
        recall=args.recall,
        seed=args.seed,
    )
    environment = describe()
    with TemporaryDirectory() as folder:
        work = Path(folder)
        stored, questions = _made_up(work / "stored", settings)
        wanted, figures = _exact(stored, questions)
        np.save(work / "wanted.npy", wanted)
        for name in args.index or (IVF, HNSW):
            figures |= _alone(work, name, questions, settings)
    for name, value in figures.items():
        print(f"  {name:24} {value}")
    finish("search_recall", figures, environment, config=asdict(settings), save=args.save)
    return 0


def _made_up(folder: Path, settings: Settings) -> tuple[Embeddings, np.ndarray]:
    """Stored vectors, and questions."""
    rng = np.random.default_rng(settings.seed)
    width = settings.embed_dim
    centres = _unit(rng.standard_normal((settings.centres, width), dtype=np.float32))
    weights = 1 / np.arange(1, settings.centres + 1) ** 0.7
    weights /= weights.sum()

    def drawn(count: int) -> np.ndarray:
        own = centres[rng.choice(settings.centres, size=count, p=weights)]
        noise = rng.standard_normal((count, width), dtype=np.float32) / np.sqrt(width)
        return _unit(own + settings.spread * noise)

    about = {"kind": "images", "layout": "npy", "embed_dim": width}
    bounds = [*range(0, settings.vectors, _PART), settings.vectors]
    writer = EmbeddingsWriter(folder=folder, settings=about, count=len(bounds) - 1)
    parts, done = [], []
    for number, (first, last) in enumerate(pairwise(bounds)):
        entries = tuple(Listed("", str(row)) for row in range(first, last))
        parts.append(ListedPart(root=folder, key=folder, first=first, entries=entries))
        items = [Item(row, str(row), "", None, None) for row in range(first, last)]
        vectors = {"images": drawn(last - first).astype(np.float16)}
        done.append(writer.write(number, parts[-1], items=items, vectors=vectors, skips=[]))
    writer.finish(parts, done, "made up")
    return open_embeddings(folder), drawn(settings.questions)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _exact(stored: Embeddings, questions: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """The nearest of each question, held against faiss, and how long one question takes."""
    found = nearest(stored.vectors("images"), questions, _K)
    brute = faiss.IndexFlatIP(stored.embed_dim)
    for part in stored.vectors("images"):
        brute.add(part.astype(np.float32))
    cosines, rows = brute.search(questions, _K)
    differing = found.rows != rows
    # equal to the last digits: the order of two neighbours may differ, no cosine may
    off = float(np.abs(found.cosines - cosines)[differing].max(initial=0.0))
    if off > 1e-5:
        raise UserError(f"exact search differs from brute force by {off}")
    times = []
    for question in questions[:20]:
        start = time.perf_counter()
        nearest(stored.vectors("images"), question[None], _K)
        times.append(1000 * (time.perf_counter() - start))
    figures = {
        "exact_equal_rows": round(float(1 - differing.mean()), 6),
        "exact_most_off": off,
        "exact_ms": round(median(times), 1),
        "tenth_cosine": round(float(np.median(found.cosines[:, -1])), 3),
    }
    return found.rows, figures


def _alone(work: Path, name: str, questions: np.ndarray, settings: Settings) -> dict[str, Any]:
    """Build and ask an index in a process of its own, whose memory is measured."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(
        target=_built, args=(work, name, questions, settings, sender)
    )
    process.start()
    sender.close()
    try:
        figures = receiver.recv()
    except EOFError:
        raise UserError(f"the {name} index could not be built, see above") from None
    process.join()
    print(f"{name}: {figures}", file=sys.stderr, flush=True)
    return {f"{name}_{key}": value for key, value in figures.items()}


def _built(work: Path, name: str, questions: np.ndarray, settings: Settings, sender: Any) -> None:
    stored = open_embeddings(work / "stored")
    choice = IndexChoice(kind="images", name=name, recall=settings.recall, seed=settings.seed)
    memory = _Memory()
    start = time.perf_counter()
    built = build_index(stored, choice, work / name)
    seconds = time.perf_counter() - start
    peak = memory.grown()
    start = time.perf_counter()
    index = open_index(stored, choice, work / name)
    if index is None:
        raise UserError(f"the stored {name} index is not found again")
    opened = time.perf_counter() - start
    times, rows = [], []
    for question in questions:
        start = time.perf_counter()
        rows.append(index.nearest(stored, question[None], _K).rows[0])
        times.append(1000 * (time.perf_counter() - start))
    wanted = np.load(work / "wanted.npy")
    shares = [len(set(a) & set(b)) / _K for a, b in zip(np.stack(rows), wanted, strict=True)]
    spread = 1.96 * float(np.std(shares)) / len(shares) ** 0.5
    mean = float(np.mean(shares))
    promised = cost(settings.vectors, settings.embed_dim, name)
    figures = {
        "recall": round(mean, 4),
        "recall_ci": [round(mean - spread, 4), round(min(1.0, mean + spread), 4)],
        "recall_promised": built.recall.share,
        "looked_at": built.recall.looked_at,
        "ms": round(median(times), 2),
        "ms_worst": round(max(times), 1),
        "build_s": round(seconds, 1),
        "open_s": round(opened, 3),
        "memory_gb": round(peak / 1e9, 2),
        "memory_promised_gb": round(promised.memory / 1e9, 2),
        "disk_gb": round((work / name / "index.faiss").stat().st_size / 1e9, 3),
        "disk_promised_gb": round(promised.disk / 1e9, 3),
    }
    sender.send(figures)


class _Memory:
    """Watches this process: memory of its own, not pages of files, which can be dropped."""

    def __init__(self) -> None:
        self.before = _own_bytes()
        self.most = self.before
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def grown(self) -> int:
        """Bytes at the highest point beyond those at the start; ends the watch."""
        self._is_over.set()
        self._thread.join()
        return self.most - self.before

    def _watch(self) -> None:
        while not self._is_over.wait(_LOOK_EVERY):
            self.most = max(self.most, _own_bytes())


def _own_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * _KIB for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    run_as_program(main)
