"""How many captions a second does attribute insertion take, apart from its models?

The whole run on made-up captions: chunks, matching, rules, objective and writing, with words that
were detected and a scorer that hashes. What it costs beside real models is thereby known. Figures
are medians of several runs after a warm-up, with the slowest and the fastest.
"""

import argparse
import hashlib
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.timed_process import work_folder
from eval.hub.similarity import load_similarity
from eval.xmai.attack import AttackPlan, run_attack
from eval.xmai.candidates import ListedAdjectives, Rules
from eval.xmai.chunks import CaptionSource, Chunk
from eval.xmai.detections import Detection
from eval.xmai.insertion import AttributeInserter, InsertionSettings, Tools
from eval.xmai.matching import Matcher
from eval.xmai.people import PRESETS
from eval.xmai.proposals import VocabularyProposer
from eval.xmai.records import PerturbedCaption, read_perturbed
from eval.xmai.rule_nouns import rule_nouns
from eval.xmai.sources import TableRow, TableSource

_NOUNS = ("chair", "dog", "house", "bird", "car", "tree", "cup", "shirt", "table", "boat")
_WORDS = ("red", "blue", "wooden", "small", "orange", "striped", "old", "white", "green")
_PER_CHUNK = 32


class _HashScorer:
    name = "hash"
    fingerprint = ""

    def picture_embeds(self, pictures: Sequence[bytes]) -> tuple[np.ndarray, list[bool]]:
        return np.zeros((len(pictures), 1)), [True] * len(pictures)

    def cosines(
        self, picture_embeds: np.ndarray, rows: Sequence[int], sentences: Sequence[str]
    ) -> np.ndarray:
        digests = (hashlib.blake2b(text.encode(), digest_size=4).digest() for text in sentences)
        return np.array([int.from_bytes(digest, "big") / 2**32 for digest in digests])


class _Method:
    models: dict[str, dict[str, str]] = {}  # noqa: RUF012
    needs_pictures = True

    def __init__(self) -> None:
        characters = load_similarity("characters")
        rules = Rules(blocked=PRESETS["people"], adjectives=ListedAdjectives(), at_most=12)
        tools = Tools(
            matcher=Matcher(rule_nouns, similarity=characters),
            proposer=VocabularyProposer(),
            rules=rules,
            similarity=characters,
            scorer=_HashScorer(),
            tagger=None,
        )
        self._inserter = AttributeInserter(tools, InsertionSettings())

    def perturb(self, chunk: Chunk) -> Sequence[PerturbedCaption]:
        return self._inserter.perturb(chunk)


def build(source: CaptionSource) -> _Method:
    """A ``Builder``."""
    return _Method()


def captions(count: int) -> TableSource:
    """Sentences of two nouns, with four attributes each."""
    rows = []
    for n in range(count):
        names = _NOUNS[n % 10], _NOUNS[(n // 10 + n + 1) % 10]
        seen = tuple(
            Detection(uid=str(n), name=name, attribute=_WORDS[(n + i * k) % 9])
            for k, name in enumerate(names, start=1)
            for i in range(4)
        )
        text = f"A {names[0]} near the {names[1]} on a sunny day, number {n}."
        rows.append(TableRow(str(n), text, None, b"", seen))
    return TableSource(tuple(rows), {"name": "made up", "revision": str(count)})


def main() -> int:
    """Measure; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captions", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="nothing is drawn: for uniformity")
    parser.add_argument("--quick", action="store_true", help="1,000 captions, three runs")
    parser.add_argument("--save", action="store_true", help="append to results/")
    args = parser.parse_args()
    environment = describe()
    count, runs = (1000, 3) if args.quick else (args.captions, args.runs)
    source = captions(count)
    with work_folder("xmai_speed", parent=None) as work:
        timed = [_timed(source, work / str(i), args.workers) for i in range(runs + 1)][1:]
        found = read_perturbed(work / "0" / "perturbed.jsonl").captions
    insertions = sum(len(caption.insertions) for caption in found)
    rates = [count / wall for wall, _ in timed]
    median = statistics.median(rates)
    per_cpu = count / statistics.median(cpu for _, cpu in timed)
    print(
        f"{count:,} captions, {insertions / count:.2f} insertions each: {median:,.0f} captions/s "
        f"({min(rates):,.0f} to {max(rates):,.0f} over {runs} runs), "
        f"{per_cpu:,.0f} a second of this process's own time"
    )
    figures = {
        "captions_per_s": round(median, 1),
        "captions_per_cpu_s": round(per_cpu, 1),
        "slowest": round(min(rates), 1),
        "fastest": round(max(rates), 1),
        "insertions_per_caption": round(insertions / count, 3),
        "insertion_only": sum(c.restored() == c.original for c in found) / count,
    }
    finish("xmai_speed", figures, environment, config=vars(args), save=args.save)
    return 0


def _timed(source: TableSource, out: Path, workers: int) -> tuple[float, float]:
    """Seconds on the clock and of this process."""
    start, own = time.perf_counter(), time.process_time()
    plan = AttackPlan(
        source=source,
        build=build,
        settings={"method": "xmai"},
        out=out,
        workers=workers,
        pictures_per_chunk=_PER_CHUNK,
    )
    run_attack(plan)
    return time.perf_counter() - start, time.process_time() - own


if __name__ == "__main__":
    run_as_program(main)
