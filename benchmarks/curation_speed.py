"""How fast is curation on one core: the scan, DataComp's basic filter, the perceptual hash,
deduplication by vectors; and what does that deduplication miss?

The scan and the hash read real pictures of a shard (as they are, and mosaics of them at 800x600);
imagehash hashes the same files in an environment of its own, and the bits in which its hashes
differ from ours are counted. The filter runs over a made-up table of millions of rows.
Deduplication by vectors (k-means, cells, leaders) runs over made-up vectors beside comparing all of
them, and its recall by cosine is measured on real vectors: captions by all-MiniLM-L6-v2, in an
environment of its own, and the pixels of small pictures. Rates are of processor time, in one
thread, and the median of the rounds.
"""

import argparse
import io
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.peers import imagehash, minilm
from benchmarks.peers.minilm import sentence_vectors
from benchmarks.support.curation_tables import made_up_table
from benchmarks.support.data_folder import file_named
from benchmarks.support.dedup_side import brute_force, made_up_vectors, own_dedup, recalled
from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.real_vectors import captions, pixel_vectors
from benchmarks.support.report import finish
from data_pipelines.curation.filters.datacomp_basic import DataCompBasic
from data_pipelines.curation.perceptual_hash import Decoding, perceptual_hash
from data_pipelines.curation.picture_facts import picture_facts
from data_pipelines.curation.scan import scan
from data_pipelines.curation.scan_settings import ScanSettings
from data_pipelines.curation.stages import Stages
from data_pipelines.curation.table import Table
from data_pipelines.shards.index import ShardIndex

_SHARD = "imagenet-samples-000000.tar"

_DIM, _THRESHOLD = 512, 0.95

_BARE_QUERY = """SELECT CASE WHEN language != 'en' THEN 0 WHEN NOT stored_words > 2 THEN 1
        WHEN NOT stored_chars > 5 THEN 2
        WHEN NOT least(original_width, original_height) >= 200 THEN 3
        WHEN NOT aspect <= 3.0 THEN 4 END AS rule, count(*) FROM samples GROUP BY rule"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """``rows`` of the table, ``pictures`` of each size, ``vectors`` that are deduplicated.

    ``recall_samples`` of them are compared with all.
    """

    rows: int
    pictures: int
    vectors: int
    recall_samples: int
    rounds: int
    seed: int


def main() -> int:
    """Measure and report; returns the exit code."""
    args = _parse()
    settings = Settings(
        rows=100_000 if args.quick else args.rows,
        pictures=60 if args.quick else args.pictures,
        vectors=4_500 if args.quick else args.vectors,
        recall_samples=200 if args.quick else args.recall_samples,
        rounds=1 if args.quick else args.rounds,
        seed=args.seed,
    )
    environment = describe()
    shard = file_named(args.shard, _SHARD, option="SHARD")
    with TemporaryDirectory() as folder:
        work = Path(folder)
        os.environ["XDG_CACHE_HOME"] = str(work / "cache")
        figures: dict[str, Any] = {
            **_scanned(shard, work, settings),
            **_filtered(work, settings),
            **_hashed(shard, work, settings, peer_folder=args.peer_env),
            **_deduplicated(settings),
            **_recalled(shard.parent, work, settings, peer_folder=args.minilm_env),
        }
    for name, value in figures.items():
        print(f"  {name:32} {value}")
    finish("curation_speed", figures, environment, config=asdict(settings), save=args.save)
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "shard", nargs="?", type=Path, help=f"of JPEGs (default: {_SHARD} of the data folder)"
    )
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--vectors", type=int, default=60_000)
    parser.add_argument("--recall-samples", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-env", type=Path, help="environment of imagehash")
    parser.add_argument("--minilm-env", type=Path, help="environment of all-MiniLM-L6-v2")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--quick", action="store_true", help="100,000 rows, 60 pictures, 4,500 vectors"
    )
    parser.add_argument("--save", action="store_true", help="append the record to results/")
    return parser.parse_args()


def _scanned(shard: Path, work: Path, settings: Settings) -> dict[str, float]:
    number = len(ShardIndex.open(shard))
    rates = {}
    for name, chosen in (
        ("scan_per_s", ScanSettings()),
        ("scan_hash_per_s", ScanSettings(phash="scaled")),
        ("scan_decode_per_s", ScanSettings(decode=True)),
    ):
        seconds = []
        for turn in range(settings.rounds + 1):
            out = work / f"{name}-{turn}"
            seconds.append(_seconds(lambda s=chosen, o=out: scan(shard, settings=s, out_dir=o)))
        rates[name] = round(number / median(seconds[1:]), 1)  # the first made the index
    return rates


def _filtered(work: Path, settings: Settings) -> dict[str, float]:
    """The stage (its query, the fates it stores, the counts that are checked) in one thread and in
    all, and the bare query: how many samples each rule drops."""
    table = made_up_table(work / "table", rows=settings.rows, seed=settings.seed)
    cpu, wall = [], []
    for _ in range(settings.rounds):
        with Stages(table, threads=1, memory=1_500_000_000, scratch=work / "scratch") as stages:
            start = time.perf_counter()
            cpu.append(_seconds(lambda s=stages: s.run("basic", DataCompBasic())))
            wall.append(time.perf_counter() - start)
    return {
        "filter_rows": settings.rows,
        **_queried(table, work, settings),
        "filter_cpu_s": round(median(cpu), 3),
        "filter_wall_s": round(median(wall), 3),
        "filter_wall_s_best": round(min(wall), 3),
    }


def _queried(table: Table, work: Path, settings: Settings) -> dict[str, float]:
    query, cores = [], []
    for _ in range(settings.rounds):
        with Stages(table, threads=1, scratch=work / "scratch") as stages:
            query.append(_seconds(lambda s=stages: s.sql(_BARE_QUERY).fetchall()))
        with Stages(table, scratch=work / "scratch") as stages:
            start = time.perf_counter()
            stages.run("basic", DataCompBasic())
            cores.append(time.perf_counter() - start)
    return {
        "filter_query_cpu_s": round(median(query), 3),
        "filter_all_cores_wall_s": round(median(cores), 3),
    }


def _hashed(
    shard: Path, work: Path, settings: Settings, *, peer_folder: Path | None
) -> dict[str, float]:
    peer = imagehash.prepare_environment(peer_folder)
    originals = _pictures(shard, settings.pictures)
    figures: dict[str, float] = {}
    for name, pictures in (("256px", originals), ("800x600", _mosaics(originals, settings))):
        folder = work / name
        folder.mkdir()
        for number, data in enumerate(pictures):
            (folder / f"{number:05d}.jpg").write_bytes(data)
        theirs = imagehash.hashes(peer, folder, rounds=settings.rounds)
        own = [
            _seconds(lambda p=pictures: _hashes(p, "scaled")) for _ in range(settings.rounds + 1)
        ]
        rate, other = len(pictures) / median(own[1:]), len(pictures) / median(theirs.seconds)
        figures |= {
            f"hash_{name}_per_s": round(rate, 1),
            f"hash_{name}_imagehash_per_s": round(other, 1),
            f"hash_{name}_ratio": round(rate / other, 2),
            f"hash_{name}_kb": round(sum(map(len, pictures)) / len(pictures) / 1e3, 1),
        }
        for decoding in ("full", "scaled"):
            bits = _hashes(pictures, decoding)
            apart = [(a ^ b).bit_count() for a, b in zip(bits, theirs.bits, strict=True)]
            figures |= {
                f"hash_{name}_{decoding}_bits_mean": round(float(np.mean(apart)), 2),
                f"hash_{name}_{decoding}_bits_max": max(apart),
            }
    return figures


def _deduplicated(settings: Settings) -> dict[str, float]:
    """Ours and comparing all, over the same made-up vectors."""
    vectors = made_up_vectors(settings.vectors, _DIM, seed=settings.seed)
    own = [own_dedup(vectors, threshold=_THRESHOLD) for _ in range(settings.rounds)]
    pairs, brute = brute_force(vectors, threshold=_THRESHOLD)
    seconds = median(one.seconds for one in own)
    samples, seed = settings.recall_samples, settings.seed
    recall = recalled(own[0], samples=samples, seed=seed, threshold=_THRESHOLD)
    return {
        "dedup_vectors": len(vectors),
        "dedup_s": round(seconds, 2),
        "dedup_brute_force_s": round(brute, 2),
        "dedup_ratio": round(brute / seconds, 2),
        "dedup_pairs": pairs,
        "dedup_gone": len(own[0].found.places),
        "dedup_made_up_recall": recall["over"],
    }


def _recalled(
    folder: Path, work: Path, settings: Settings, *, peer_folder: Path | None
) -> dict[str, Any]:
    """Recall on real vectors: pictures of all shards there by pixels, captions by a model."""
    shards = {
        name: sorted(folder.glob(f"{name}-*.tar")) for name in ("cifar10", "clipart", "stamps")
    }
    kinds = {"pixels": pixel_vectors([*shards["clipart"], *shards["cifar10"]], settings.vectors)}
    texts = captions([*shards["clipart"], *shards["stamps"]], settings.vectors)
    kinds["captions"] = sentence_vectors(minilm.prepare_environment(peer_folder), texts, work)
    figures: dict[str, Any] = {}
    for name, vectors in kinds.items():
        own = own_dedup(vectors, threshold=_THRESHOLD)
        samples, seed = settings.recall_samples, settings.seed
        found = recalled(own, samples=samples, seed=seed, threshold=_THRESHOLD)
        figures |= {
            f"recall_{name}_vectors": len(vectors),
            f"recall_{name}_gone": len(own.found.places),
            **{f"recall_{name}_{key}": value for key, value in found.items()},
        }
    return figures


def _seconds(work: Callable[[], object]) -> float:
    """Processor time of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def _hashes(pictures: Sequence[bytes], decoding: Decoding) -> list[int]:
    return [
        perceptual_hash(data, picture_facts(data, decode=False), decoding=decoding).bits
        for data in pictures
    ]


def _pictures(shard: Path, number: int) -> list[bytes]:
    index = ShardIndex.open(shard)
    found = (index.read(i).get("jpg") for i in range(len(index)))
    return [data for data in found if data][:number]


def _mosaics(pictures: Sequence[bytes], settings: Settings) -> list[bytes]:
    """Pictures of 800x600 pixels, each of twelve others."""
    rng = np.random.default_rng(settings.seed)
    tiles = [Image.open(io.BytesIO(data)).convert("RGB").resize((200, 200)) for data in pictures]
    found = []
    for _ in range(max(1, len(pictures) // 2)):
        sheet = Image.new("RGB", (800, 600))
        for place, tile in enumerate(rng.integers(len(tiles), size=12)):
            sheet.paste(tiles[tile], (200 * (place % 4), 200 * (place // 4)))
        stream = io.BytesIO()
        sheet.save(stream, format="JPEG", quality=88)
        found.append(stream.getvalue())
    return found


if __name__ == "__main__":
    run_as_program(main)
