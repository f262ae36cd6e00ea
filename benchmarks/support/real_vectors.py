"""Vectors of real pictures and captions of shards, for measuring recall where it is hard."""

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from PIL import Image

from benchmarks.support.dedup_side import unit
from data_pipelines.images import on_white
from data_pipelines.shards.index import ShardIndex

_SIDE = 12


def pixel_vectors(shards: Sequence[Path], number: int) -> Float32[np.ndarray, "n dim"]:
    """Unit vectors of pictures: their pixels at 12 by 12, without their mean grey.

    Args:
        number: of pictures, at most.
    """
    found: list[np.ndarray] = []
    for members in _samples(shards):
        data = members.get("jpg") or members.get("png")
        if data:
            small = on_white(Image.open(io.BytesIO(data))).resize((_SIDE, _SIDE))
            pixels = np.asarray(small, dtype=np.float32).ravel()
            found.append(pixels - pixels.mean())
        if len(found) == number:
            break
    return unit(np.stack(found))


def captions(shards: Sequence[Path], number: int) -> list[str]:
    """Different captions, those of json in all languages too, in the order of the shards."""
    found: dict[str, None] = {}
    for members in _samples(shards):
        own = [members["txt"].decode()] if "txt" in members else []
        told = json.loads(members["json"]).get("captions", {}) if "json" in members else {}
        own += told.values() if isinstance(told, dict) else []
        found.update(dict.fromkeys(" ".join(str(text).split()) for text in own))
        if len(found) >= number:
            break
    return [text for text in found if text][:number]


def _samples(shards: Sequence[Path]) -> Iterator[dict[str, bytes]]:
    for path in shards:
        index = ShardIndex.open(path)
        for _, members in index:
            yield dict(members)
