"""Pools of small shards, of ours and of others, and tables of kept samples for tests."""

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from data_pipelines.shards.write import write_pairs
from tests.support.shards import picture, samples, write_tar

#: uid, file name of the shard, place in it.
Row = tuple[str, str, int]


def own_pool(folder: Path, count: int = 60, *, per_shard: int = 16) -> Path:
    """Shards of ours, whose keys are uids."""
    write_pairs(samples(count), folder, max_samples=per_shard)
    return folder


def datacomp_pool(folder: Path, count: int = 60, *, per_shard: int = 16) -> Path:
    """Shards as DataComp's downloader writes them: plain keys, the uid in the json."""
    rng = np.random.default_rng(5)
    uids = [rng.bytes(16).hex() for _ in range(count)]
    for first in range(0, count, per_shard):
        members = []
        for number in range(first, min(first + per_shard, count)):
            told = {"uid": uids[number], "key": f"{number:09d}", "caption": f"picture {number}"}
            members += [
                (f"{number:09d}.jpg", picture(number, format="JPEG")),
                (f"{number:09d}.json", json.dumps(told).encode()),
                (f"{number:09d}.txt", f"picture {number}".encode()),
            ]
        write_tar(folder / f"{first // per_shard:08d}.tar", members)
    return folder


def plain_pool(folder: Path, count: int = 20, *, per_shard: int = 8) -> Path:
    """Shards without ids, and with equal keys in all of them."""
    for first in range(0, count, per_shard):
        members = []
        for number in range(first, min(first + per_shard, count)):
            key = f"{number - first:05d}"
            members += [(f"{key}.png", picture(number)), (f"{key}.txt", f"n {number}".encode())]
        write_tar(folder / f"part-{first // per_shard}.tar", members)
    return folder


def rows_of(folder: Path) -> list[Row]:
    """All samples of a pool of ours or of DataComp's, read by Python's tarfile alone."""
    found = []
    for path in sorted(folder.glob("*.tar")):
        uids = [json.loads(members["json"])["uid"] for _, members in members_of(path)]
        found += [(uid, path.name, row) for row, uid in enumerate(uids)]
    return found


def members_of(path: Path) -> list[tuple[str, dict[str, bytes]]]:
    """Key and members of each sample, read by Python's tarfile alone."""
    found: dict[str, dict[str, bytes]] = {}
    with tarfile.open(path) as tar:
        for entry in tar:
            key, _, suffix = entry.name.partition(".")
            stream = tar.extractfile(entry)
            found.setdefault(key, {})[suffix] = stream.read() if stream else b""
    return list(found.items())


def kept_table(path: Path, rows: Sequence[Row]) -> Path:
    """A table of kept samples."""
    uid, shard, row = zip(*rows, strict=True)
    table = {"uid": pa.array(uid), "shard": pa.array(shard), "row": pa.array(row, pa.int64())}
    parquet.write_table(pa.table(table), path)
    return path


def datacomp_entries(uids: Sequence[str]) -> np.ndarray:
    """Uids as DataComp's own scripts make them: two hexadecimal halves, sorted by NumPy."""
    halves = [(int(uid[:16], 16), int(uid[16:32], 16)) for uid in uids]
    entries = np.array(halves, dtype=np.dtype("u8,u8"))
    entries.sort()
    return entries


def npy(entries: np.ndarray) -> bytes:
    """As np.save writes it."""
    stream = io.BytesIO()
    np.save(stream, entries)
    return stream.getvalue()
