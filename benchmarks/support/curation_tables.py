"""Shards of made-up pairs with every kind of fault, and tables of millions of rows."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from data_pipelines.curation.columns import GOOD, columns_of
from data_pipelines.curation.parts import write_part
from data_pipelines.curation.scan_parts import SAMPLES, TABLE_NAME
from data_pipelines.curation.scan_shard import FORMAT_VERSION
from data_pipelines.curation.table import Table, open_table

_WORDS = ("a", "photo", "of", "red", "small", "dog", "house", "boat", "two", "in", "rain")
_SHARD_ROWS = 10_000


def write_shards(folder: Path, *, shards: int, samples: int, seed: int) -> None:
    """Tars of small pictures: repeated, cut off, without captions, of repeated uids."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for shard in range(shards):
        with tarfile.open(folder / f"{shard:05d}.tar", "w") as tar:
            for row in range(samples):
                key = f"{shard:04d}{row:05d}"
                data = _picture(int(rng.integers(samples // 2)))
                if rng.random() < 0.05:
                    data = data[: len(data) // 2]
                uid = f"{int(rng.integers(4 * shards * samples)):032x}"
                text = " ".join(rng.choice(_WORDS, int(rng.integers(0, 9))))
                _add(tar, f"{key}.jpg", data)
                _add(tar, f"{key}.txt", text.encode())
                _add(tar, f"{key}.json", json.dumps({"uid": uid}).encode())


def made_up_table(folder: Path, *, rows: int, seed: int) -> Table:
    """A finished table of DataComp's shape: sizes, lengths, languages and hashes at random."""
    rng = np.random.default_rng(seed)
    schema = columns_of(has_language=True, has_hash=False)
    entries = []
    (folder / SAMPLES).mkdir(parents=True)
    for number in range(-(-rows // _SHARD_ROWS)):
        count = min(_SHARD_ROWS, rows - number * _SHARD_ROWS)
        note = {"shard": f"{number:08d}.tar", "content": f"made up {seed} {number}"}
        part = folder / SAMPLES / f"{number:08d}.parquet"
        written = write_part(part, schema, [_made_up(rng, note["shard"], count, schema)], note)
        own = {"part": part.name, "bytes": written.size, "sha256": written.sha256}
        entries.append({"name": note["shard"], "content": note["content"], "rows": count, **own})
    stored = {"format_version": FORMAT_VERSION, "tool": "vlsuite", "settings": {}}
    (folder / TABLE_NAME).write_text(json.dumps({**stored, "shards": entries}))
    return open_table(folder)


def _made_up(rng: np.random.Generator, shard: str, count: int, schema: pa.Schema) -> pa.RecordBatch:
    width, height = rng.integers(80, 1600, (2, count), dtype=np.int32)
    words = rng.integers(0, 20, count, dtype=np.int32)
    digests = rng.bytes(48 * count)
    columns = {
        "uid": [digests[48 * i : 48 * i + 16].hex() for i in range(count)],
        "shard": [shard] * count,
        "row": np.arange(count),
        "key": [f"{i:09d}" for i in range(count)],
        "verdict": [GOOD] * count,
        "caption_verdict": [GOOD] * count,
        "width": width,
        "height": height,
        "original_width": width,
        "original_height": height,
        "aspect": np.maximum(width, height) / np.minimum(width, height),
        "sha256": [digests[48 * i + 16 : 48 * i + 48] for i in range(count)],
        "caption_chars": 6 * words,
        "caption_words": words,
        "stored_chars": 6 * words,
        "stored_words": words,
        "stored_tokens": words,
        "language": np.array(["en", "de", "zh"])[rng.integers(0, 3, count)].tolist(),
        "language_score": rng.random(count, dtype=np.float32),
    }
    arrays = [
        pa.array(columns[field.name], type=field.type)
        if field.name in columns
        else pa.nulls(count, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _picture(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).resize((96, 72)).save(stream, format="JPEG")
    return stream.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))
