"""Writes the folder that ``vlsuite.models.nevlp.image_tokens`` reads."""

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from data_pipelines.shards.atomic import make_folder, write_file
from data_pipelines.shards.stored_sample import StoredSample
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.pair_shards import PairShards
from vlsuite.batches.transforms import TrainTransform, channels, normalise
from vlsuite.errors import DataError
from vlsuite.models.dual_encoder.built import BuiltModel
from vlsuite.models.nevlp.image_tokens import ABOUT, FORMAT, TokenSource, tower_tokens

Progress = Callable[[Iterable[Any]], Iterable[Any]]


class Written(NamedTuple):
    """What was done.

    Attributes:
        num_pictures: with tokens; a uid that several samples have counts once.
        num_skipped: samples that could not be read.
        shape: of one view: tokens and their width.
    """

    num_pictures: int
    num_skipped: int
    shape: tuple[int, int]


def write_image_tokens(
    out: Path,
    tower: BuiltModel,
    data: DataConfig,
    source: TokenSource,
    *,
    views: int,
    seed: int,
    batch_size: int,
    progress: Progress = iter,
) -> Written:
    """Run the image tower over ``views`` training views of each picture of ``data.train``.

    A picture's views depend on its uid and ``seed`` alone.

    Args:
        out: folder without tokens.
        tower: in eval mode, on the CPU.
        data: shards, and how their pictures are augmented.
        source: what the tokens are of.
        batch_size: views of a forward pass.
    Raises:
        DataError: no shards, no picture that can be read, or the folder holds tokens already or
            cannot be written.
    """
    if (out / ABOUT).exists():
        raise DataError(f"{out} holds image tokens already; choose another --out, or remove it")
    transform = TrainTransform(
        data.augment,
        size=tower.preprocess["size"],
        interpolation=tower.preprocess.get("interpolation", "bicubic"),
    )
    found = _Pictures(transform, views=views, seed=seed)
    shards = PairShards.open(data)
    make_folder(out)
    parts = _passes(found.of(progress(_samples(shards))), -(-batch_size // views))
    # of its own name, so that writers of one folder do not mix theirs
    array = out / f"{uuid.uuid4().hex[:12]}.npy"
    try:
        shape = _write_array(array, (_tokens(tower, part, source.image_layer) for part in parts))
        if not found.uids:
            raise DataError(f"no picture of {', '.join(data.train)} can be read; validate them")
    except BaseException:
        array.unlink(missing_ok=True)
        raise
    about = {"format": FORMAT, "array": array.name, "source": asdict(source), "views": views}
    about["uids"] = list(found.uids)
    write_file(out / ABOUT, json.dumps(about).encode())
    return Written(len(found.uids), found.num_skipped, shape)


class _Pictures:
    """Views of each picture once; remembers the uids in their order."""

    def __init__(self, transform: TrainTransform, *, views: int, seed: int) -> None:
        self._transform, self._views, self._seed = transform, views, seed
        self.uids: dict[str, None] = {}
        self.num_skipped = 0

    def of(self, samples: Iterable[StoredSample]) -> Iterator[Tensor]:
        """[views, 3, height, width] of one picture after another."""
        for sample in samples:
            try:
                if sample.uid in self.uids:
                    continue
                drawn = [self._view(sample, number) for number in range(self._views)]
            except DataError:
                self.num_skipped += 1
                continue
            self.uids[sample.uid] = None
            yield torch.stack(drawn)

    def _view(self, sample: StoredSample, number: int) -> Tensor:
        told = f"{self._seed}\0{number}\0{sample.uid}".encode()
        key = int.from_bytes(hashlib.blake2b(told, digest_size=16).digest(), "little")
        rng = np.random.Generator(np.random.Philox(key=key))
        return self._transform.view(sample.image.data, rng).pixels


def _samples(shards: PairShards) -> Iterator[StoredSample]:
    for number in range(shards.num_shards):
        index, rows = shards.shard_set[number], shards.rows_of(number)
        for row in range(len(index)) if rows is None else rows.tolist():
            yield StoredSample(index.key(row), index.read(row), name=index.name(row))


def _passes(pictures: Iterable[Tensor], count: int) -> Iterator[Tensor]:
    """[pictures, views, 3, height, width], ``count`` pictures or the rest."""
    group: list[Tensor] = []
    for views in pictures:
        group.append(views)
        if len(group) == count:
            yield torch.stack(group)
            group = []
    if group:
        yield torch.stack(group)


def _tokens(tower: BuiltModel, views: Tensor, image_layer: int) -> np.ndarray:
    """[pictures, views, tokens, width]."""
    device = torch.device("cpu")
    pixels = normalise(
        views.flatten(0, 1),
        mean=channels(tower.preprocess["mean"], device),
        std=channels(tower.preprocess["std"], device),
        dtype=torch.float32,
    )
    tokens = tower_tokens(tower.encoder.visual, pixels, image_layer=image_layer)
    return tokens.unflatten(0, views.shape[:2]).numpy()


def _write_array(path: Path, parts: Iterable[np.ndarray]) -> tuple[int, int]:
    """One part after another; the header, with room for any count, is put right last."""
    shape: tuple[int, ...] = (0, 0, 0, 0)
    try:
        with path.open("wb") as file:
            file.write(_header(shape))
            for part in parts:
                shape = (shape[0] + len(part), *part.shape[1:])
                file.write(np.ascontiguousarray(part, dtype=np.float32).tobytes())
            file.seek(0)
            file.write(_header(shape))
    except OSError as error:
        raise DataError(
            f"cannot write {path}: {error.strerror}; free space, or choose another --out"
        ) from error
    return shape[2], shape[3]


def _header(shape: tuple[int, ...]) -> bytes:
    """Of numpy's format 1.0 (numpy.lib.format), padded to one fixed length."""
    told = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    magic = b"\x93NUMPY\x01\x00"
    length = 256 - len(magic) - 2
    return magic + length.to_bytes(2, "little") + told.ljust(length - 1) + b"\n"
