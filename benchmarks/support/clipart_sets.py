"""Clip art with file names for captions: as it is, and curated by one recipe; tests held out.

The recipe drops what looks like a picture before it (``semantic-duplicates`` over pixels), and
captions lose credits and running numbers. Groups of near-duplicates go to training or test as a
whole, so that no test picture has a near-duplicate in either training set.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.support.pixel_vectors import PixelModel
from data_pipelines.curation.cleaning.clean_table import CAPTIONS, CleaningSettings, clean_table
from data_pipelines.curation.recipe import load_recipe
from data_pipelines.curation.run import run_recipe
from data_pipelines.curation.run_files import LINEAGE
from data_pipelines.curation.scan import scan
from data_pipelines.curation.scan_settings import ScanSettings
from data_pipelines.curation.table import Table, open_table
from data_pipelines.errors import DataError
from data_pipelines.image_formats import open_image
from data_pipelines.schema import Sample, make_uid
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.stored_sample import StoredSample
from data_pipelines.shards.write import write_benchmark, write_pairs
from vlsuite.models.embed_shards import embed_shards

#: The training sets.
RAW, CURATED = "raw", "curated"
#: The tests: held-out clip art with cleaned captions and as it was named, and other art.
TESTS = ("clipart", "clipart_as_named", "stamps")

_VECTORS = "pixels"
_STAR = "star "  # how the file names of a family of shapes begin: "star 97pt25step"
_SIDE = 48  # pixels of the longer side, as stored for the runs


class ClipArt(NamedTuple):
    """One sample of the pool and what became of it.

    Attributes:
        leader: uid of the picture that it looks like; its own where it is the first.
        place: shard and row.
    """

    uid: str
    raw: str
    cleaned: str
    leader: str
    place: tuple[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class SetSettings:
    """How the sets are made.

    Args:
        threshold: cosine of pixels from which two pictures are one.
        test_share: of the groups of near-duplicates.
        most: samples of the pool, for a quick try; None takes all.
    """

    threshold: float
    test_share: float
    most: int | None = None


def make_sets(
    clipart: Sequence[Path], stamps: Sequence[Path], work: Path, settings: SetSettings
) -> dict[str, Any]:
    """Curate, split and write ``raw``, ``curated`` and the tests; returns what was counted."""
    pool, figures = _curated(clipart, work, settings)
    if settings.most is not None:
        pool = pool[: settings.most]
    is_test = {one.leader: _draw(one.leader) < settings.test_share for one in pool}
    test = _test_of([one for one in pool if is_test[one.leader]], pool, is_test, work, settings)
    train = [one for one in pool if not is_test[one.leader]]
    members = _pictures(clipart)
    raw = [_sample(one, one.raw, members) for one in train]
    kept = [_sample(one, one.cleaned, members) for one in train if one.leader == one.uid]
    write_pairs(raw, work / RAW)
    write_pairs(kept, work / CURATED)
    for name, caption in (("clipart", "cleaned"), ("clipart_as_named", "raw")):
        found = [_sample(one, getattr(one, caption), members) for one in test]
        write_benchmark(found, work / name, kind="retrieval")
    other = list(_stamps(stamps))[: settings.most]
    write_benchmark(other, work / "stamps", kind="retrieval")
    captions = [*(one.raw for one in train), *(one.cleaned for one in train)]
    (work / "captions.json").write_text(json.dumps(captions))
    return figures | {
        "raw_pairs": len(raw),
        "curated_pairs": len(kept),
        "test_clipart": len(test),
        "test_stamps": len(other),
    }


def _curated(
    shards: Sequence[Path], work: Path, settings: SetSettings
) -> tuple[list[ClipArt], dict[str, Any]]:
    scan(shards, settings=ScanSettings(), out_dir=work / "table")
    table = open_table(work / "table")
    embed_shards(PixelModel(), [str(path) for path in shards], table, name=_VECTORS)
    recipe = work / "clipart.toml"
    recipe.write_text(
        f'[[stage]]\nfilter = "semantic-duplicates"\nvectors = "{_VECTORS}"\n'
        f"threshold = {settings.threshold}\n"
    )
    report = run_recipe(load_recipe(str(recipe)), table, work / "run", threads=1)
    cleaning = clean_table(table, work / "cleaned", CleaningSettings(numbers=True))
    pool = list(_joined(table, work))
    stars = [one for one in pool if one.raw.startswith(_STAR)]
    figures = {
        "pool": table.num_rows,
        "kept": report.num_kept,
        "unaccounted": table.num_rows - len(_fates(work)),
        "stars": len(stars),
        "star_duplicates": sum(one.leader != one.uid for one in stars),
        "other_duplicates": sum(one.leader != one.uid for one in pool)
        - sum(one.leader != one.uid for one in stars),
        "captions_changed": cleaning.num_changed,
        "captions_unchanged": cleaning.num_unchanged,
        "endings": len(cleaning.endings.found),
    }
    return pool, figures


def _joined(table: Table, work: Path) -> Iterator[ClipArt]:
    """The readable samples with both captions and their leaders."""
    fates = _fates(work)
    for part in table.parts:
        for row in pq.read_table(work / "cleaned" / CAPTIONS / part.path.name).to_pylist():
            place = (part.shard, row["row"])
            stage, leader = fates[place]
            if stage in (None, "semantic-duplicates") and row["caption"]:
                yield ClipArt(
                    row["uid"], row["caption"], row["cleaned"], leader or row["uid"], place
                )


def _fates(work: Path) -> dict[tuple[str, int], tuple[str | None, str | None]]:
    """Stage and detail of each sample of the run."""
    rows = pq.read_table(work / "run" / LINEAGE).to_pylist()
    return {(row["shard"], row["row"]): (row["stage"], row["detail"]) for row in rows}


def _test_of(
    candidates: Sequence[ClipArt],
    pool: Sequence[ClipArt],
    is_test: Mapping[str, bool],
    work: Path,
    settings: SetSettings,
) -> list[ClipArt]:
    """Leaders with captions of their own that look like no picture that is trained on."""
    counts: dict[str, int] = {}
    for one in candidates:
        if one.leader == one.uid:
            counts[one.cleaned] = counts.get(one.cleaned, 0) + 1
    own = [one for one in candidates if one.leader == one.uid and counts[one.cleaned] == 1]
    column = open_table(work / "table").vector_column(_VECTORS)
    places = dict(zip(_places(work), column.all_ids().tolist(), strict=True))
    train = [places[one.place] for one in pool if not is_test[one.leader]]
    against = column.at(np.array(train, dtype=np.int64))
    found = []
    for start in range(0, len(own), 256):
        block = own[start : start + 256]
        ids = np.array([places[one.place] for one in block], dtype=np.int64)
        nearest = (column.at(ids) @ against.T).max(axis=1)
        found += [o for o, near in zip(block, nearest, strict=True) if near < settings.threshold]
    return found


def _places(work: Path) -> Iterator[tuple[str, int]]:
    """Shard and row of all samples of the table, in its order."""
    for part in open_table(work / "table").parts:
        yield from ((part.shard, row) for row in range(part.rows))


def _draw(uid: str) -> float:
    digest = hashlib.blake2b(f"clipart/{uid}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _pictures(shards: Sequence[Path]) -> Callable[[tuple[str, int]], bytes]:
    indexes = {path.name: ShardIndex.open(path) for path in shards}

    def read(place: tuple[str, int]) -> bytes:
        index = indexes[place[0]]
        return StoredSample(index.key(place[1]), index.read(place[1])).image.data

    return read


def _sample(one: ClipArt, caption: str, picture: Callable[[tuple[str, int]], bytes]) -> Sample:
    data = _small(picture(one.place))
    return Sample(
        uid=make_uid("clipart", one.uid, b""), image=data, image_suffix="png", captions=(caption,)
    )


def _stamps(shards: Sequence[Path]) -> Iterator[Sample]:
    """With their first captions, each caption once."""
    seen: set[str] = set()
    for path in find_shards([str(one) for one in shards]):
        for key, members in ShardIndex.open(path):
            try:
                sample = StoredSample(key, members)
                caption, data = sample.captions.texts[0], _small(sample.image.data)
            except DataError:
                continue
            if caption not in seen:
                seen.add(caption)
                yield Sample(
                    uid=make_uid("stamps", key, b""),
                    image=data,
                    image_suffix="png",
                    captions=(caption,),
                )


def _small(data: bytes) -> bytes:
    with open_image(data) as picture:
        small = picture.convert("RGBA")
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    small.save(encoded, format="png")
    return encoded.getvalue()
