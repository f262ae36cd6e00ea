"""Shards with good and bad samples, and tables of made-up rows, for tests of curation."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from data_pipelines.curation.columns import GOOD, columns_of
from data_pipelines.curation.parts import write_part
from data_pipelines.curation.scan_parts import SAMPLES, TABLE_NAME
from data_pipelines.curation.scan_shard import FORMAT_VERSION
from data_pipelines.curation.score_parts import write_score_part
from data_pipelines.curation.table import SCORES, SCORES_NAME, Table, open_table
from data_pipelines.curation.vector_parts import VECTORS, VECTORS_NAME, write_vector_part
from tests.support.shards import picture, write_tar


def mixed_shards(folder: Path, *, shards: int = 3, samples: int = 6) -> list[Path]:
    """Shards of good pairs of pictures of several kinds; every third has something wrong."""
    paths = []
    for shard in range(shards):
        members: list[tuple[str, bytes]] = []
        for row in range(samples):
            number = shard * samples + row
            name = f"{number:04d}"
            kind = ("JPEG", "PNG", "WEBP")[number % 3]
            data = picture(number % 7, side=16 + number % 5, format=kind)
            if number % 3 == 2:
                data = data[: len(data) // 2]
            members += [
                (f"{name}.{kind.lower()}", data),
                (f"{name}.txt", f"picture number {number}".encode()),
                (f"{name}.json", json.dumps({"uid": f"{number * 37 % 101:032x}"}).encode()),
            ]
        paths.append(write_tar(folder / f"{shard:05d}.tar", members))
    return paths


def table_of(
    folder: Path, shards: Sequence[Sequence[Mapping[str, Any]]], *, has_hash: bool = False
) -> Table:
    """A finished table with the given columns of the rows of each shard; the rest is filled in."""
    schema = columns_of(has_language=True, has_hash=has_hash)
    entries = []
    for number, rows in enumerate(shards):
        name = f"{number:05d}"
        full = [{**_row(f"{name}.tar", i), **row} for i, row in enumerate(rows)]
        batch = pa.RecordBatch.from_pylist(full, schema=schema)
        note = {"content": f"content {number}", "shard": f"{name}.tar"}
        path = folder / SAMPLES / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        part = write_part(path, schema, [batch], note)
        entries.append(
            {
                "name": f"{name}.tar",
                "content": f"content {number}",
                "rows": len(rows),
                "part": path.name,
                "bytes": part.size,
                "sha256": part.sha256,
            }
        )
    stored = {"format_version": FORMAT_VERSION, "tool": "vlsuite", "settings": {}}
    (folder / TABLE_NAME).write_text(json.dumps({**stored, "shards": entries}))
    return open_table(folder)


def add_scores(table: Table, name: str, scores: Sequence[float | None]) -> None:
    """A score column for a table of made-up rows, in the order of shards and rows."""
    start = 0
    for part in table.parts:
        values = scores[start : start + part.rows]
        start += part.rows
        write_score_part(
            table.folder / SCORES / name / part.path.name,
            np.array([math.nan if one is None else one for one in values], dtype=np.float32),
            {"content": part.content},
        )
    digest = hashlib.sha256(np.array(scores, dtype=np.float32).tobytes()).hexdigest()
    (table.folder / SCORES / name / SCORES_NAME).write_text(f'{{"of": "{digest}"}}')


def add_vectors(table: Table, name: str, vectors: np.ndarray, *, model: str = "model") -> None:
    """Vectors of pictures for a table of made-up rows, in the order of shards and rows."""
    start = 0
    for part in table.parts:
        own = vectors[start : start + part.rows].astype(np.float16)
        start += part.rows
        note = {"content": part.content, "model": model, "of": "picture"}
        write_vector_part(table.folder / VECTORS / name / f"{part.path.stem}.npy", own, note)
    digest = hashlib.sha256(np.ascontiguousarray(vectors).tobytes()).hexdigest()
    (table.folder / VECTORS / name / VECTORS_NAME).write_text(f'{{"of": "{digest}"}}')


def files_of(folder: Path) -> dict[str, bytes]:
    """Contents of all files below a folder, by path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _row(shard: str, row: int) -> dict[str, Any]:
    return {
        "uid": f"{shard}-{row}",
        "shard": shard,
        "row": row,
        "key": str(row),
        "verdict": GOOD,
        "caption_verdict": GOOD,
    }
