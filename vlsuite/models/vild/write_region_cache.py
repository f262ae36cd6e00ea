"""Writes the folder that ``vlsuite.models.vild.region_cache`` reads, shard by shard."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from safetensors.torch import save
from torch import Tensor

from data_pipelines.bounded_json import read_object
from data_pipelines.shards.atomic import make_folder, write_file
from data_pipelines.shards.stored_sample import StoredSample
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.pair_shards import PairShards
from vlsuite.batches.pictures import open_picture
from vlsuite.errors import DataError
from vlsuite.models.vild.region_cache import (
    ABOUT,
    FORMAT,
    SUFFIX,
    RegionSource,
    quantised,
    source_of,
)
from vlsuite.models.vild.teacher import Teacher

Progress = Callable[[Iterable[Any]], Iterable[Any]]


@runtime_checkable
class Proposer(Protocol):
    """What says where objects may be."""

    def propose(
        self, picture: UInt8[np.ndarray, "rows columns 3"], *, keep: int, nms: float
    ) -> Float32[Tensor, "regions 4"]:
        """Boxes in pixels of the picture, best first."""
        ...


class ProposalChoice(NamedTuple):
    """Which regions are embedded.

    Attributes:
        proposer: the network, trained on base names alone.
        keep: of a picture, at most; 300 published.
        nms: IoU above which the worse of two goes.
    """

    proposer: Proposer
    keep: int
    nms: float


class Written(NamedTuple):
    """What was done.

    Attributes:
        num_pictures: embedded now.
        num_regions: theirs.
        num_shards_kept: that an earlier call had finished.
        num_skipped: pictures that could not be read.
    """

    num_pictures: int
    num_regions: int
    num_shards_kept: int
    num_skipped: int


def write_regions(
    out: Path,
    data: DataConfig,
    teacher: Teacher,
    choice: ProposalChoice,
    source: RegionSource,
    *,
    progress: Progress = iter,
) -> Written:
    """Propose regions in each picture of ``data.train`` and let the teacher embed them.

    Shards that an earlier call with the same source finished are left as they are.

    Args:
        out: folder, new or begun.
        source: what the embeddings are made with.
    Raises:
        DataError: no shards, or the folder was begun with another source or cannot be written.
    """
    shards = PairShards.open(data)
    make_folder(out)
    about = {
        "format": FORMAT,
        "source": asdict(source),
        "embed_dim": teacher.embed_dim,
        "keep": choice.keep,
        "nms": choice.nms,
        "finished": False,
    }
    _begin(out, about, source)
    counts = {"pictures": 0, "regions": 0, "kept": 0, "skipped": 0}
    names = _file_names(shards)
    for name, sample in progress(_work(out, shards, names, counts)):
        _embed(sample, teacher, choice, name, counts)
        if sample.is_last:
            name.write(out, source.form)
    write_file(out / ABOUT, json.dumps(about | {"finished": True}).encode())
    return Written(counts["pictures"], counts["regions"], counts["kept"], counts["skipped"])


class _Work(NamedTuple):
    """One picture to do, and whether it is the last of its shard."""

    sample: StoredSample
    is_last: bool


class _ShardFile:
    """The regions of one shard, gathered in memory and written as one file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._uids: dict[str, None] = {}
        self._boxes: list[Tensor] = []
        self._embeds: list[Tensor] = []

    def holds(self, uid: str) -> bool:
        """Whether a picture was added."""
        return uid in self._uids

    def add(self, uid: str, boxes: Tensor, embeds: Tensor) -> None:
        """The regions of a picture."""
        self._uids[uid] = None
        self._boxes.append(boxes)
        self._embeds.append(embeds)

    def write(self, folder: Path, form: str) -> None:
        """The file, whole or not at all."""
        counts = torch.tensor([0] + [len(boxes) for boxes in self._boxes])
        embeds = torch.cat(self._embeds) if self._embeds else torch.zeros(0, 1)
        tensors = {
            "boxes": torch.cat(self._boxes) if self._boxes else torch.zeros(0, 4),
            "offsets": counts.cumsum(0),
        }
        if form == "fp32":
            tensors["embeds"] = embeds
        else:
            kept = quantised(embeds)
            tensors |= {"embeds": kept.values, "scales": kept.scales}
        write_file(folder / self.name, save(tensors, {"uids": json.dumps(list(self._uids))}))


def _begin(out: Path, about: dict[str, Any], source: RegionSource) -> None:
    """Refuse a folder that was begun with something else; mark a new one as begun."""
    path = out / ABOUT
    if path.exists():
        try:
            known = source_of(read_object(path))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"cannot read {path}: {error}; remove {out}") from error
        if known != source:
            raise DataError(
                f"{out} holds regions that were made with another teacher, crop or proposals; "
                "choose another --out, or remove it"
            )
    else:
        write_file(path, json.dumps(about).encode())


def _file_names(shards: PairShards) -> list[str]:
    """One a shard, after its number, content and choice of samples: what changed is done again."""
    told = ["-".join(filter(None, (fact.content[:16], fact.chosen))) for fact in shards.facts]
    return [f"{number:05d}-{one}{SUFFIX}" for number, one in enumerate(told)]


def _work(
    out: Path, shards: PairShards, names: list[str], counts: dict[str, int]
) -> Iterator[tuple[_ShardFile, _Work]]:
    for number, name in enumerate(names):
        if (out / name).exists():
            counts["kept"] += 1
            continue
        file, index, rows = _ShardFile(name), shards.shard_set[number], shards.rows_of(number)
        wanted = list(range(len(index))) if rows is None else rows.tolist()
        for row in wanted:
            sample = StoredSample(index.key(row), index.read(row), name=index.name(row))
            yield file, _Work(sample, row == wanted[-1])


def _embed(
    work: _Work, teacher: Teacher, choice: ProposalChoice, file: _ShardFile, counts: dict[str, int]
) -> None:
    try:
        uid = work.sample.uid
        if file.holds(uid):
            return
        picture = np.ascontiguousarray(open_picture(work.sample.image.data).decode(shrink=1).values)
    except DataError:
        counts["skipped"] += 1
        return
    boxes = choice.proposer.propose(picture, keep=choice.keep, nms=choice.nms).cpu()
    file.add(uid, boxes, teacher.embed_regions(picture, boxes))
    counts["pictures"] += 1
    counts["regions"] += len(boxes)
