"""Embeddings of regions, kept on the disk: the teacher looks at each picture once.

A folder holds one safetensors file a shard, read through the page cache, and ``regions.json``: what
the embeddings were made with. A vector is kept as int8 with a scale, a region in D + 18 bytes: 159
kB a picture at 300 regions of D = 512.

m = regions of a picture, n = regions of a shard, D = length of an embedding
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float16, Float32, Int8
from safetensors import SafetensorError, safe_open
from torch import Tensor

from data_pipelines.bounded_json import read_object
from vlsuite.errors import BadSampleError, ModelError

ABOUT = "regions.json"
FORMAT = 1
SUFFIX = ".safetensors"

_LARGEST = 127


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionSource:
    """What cached regions were made with; a run that reads them must have the same.

    Attributes:
        teacher: fingerprint of the model that embedded them.
        crops: digest of how they were cut out, code and settings.
        proposals: digest of the network that proposed them and of how many were kept.
        form: "int8", or "fp32" for comparison.
    """

    teacher: str
    crops: str
    proposals: str
    form: str = "int8"


class CachedRegions(NamedTuple):
    """Of one picture.

    Attributes:
        boxes: left, top, right, bottom in pixels of the upright picture, best first.
        embeds: unit norm.
    """

    boxes: Float32[Tensor, "m 4"]
    embeds: Float32[Tensor, "m D"]


class Quantised(NamedTuple):
    """Vectors as they are kept: values x scale."""

    values: Int8[Tensor, "n D"]
    scales: Float16[Tensor, " n"]


def quantised(embeds: Float[Tensor, "n D"]) -> Quantised:
    """int8 with one scale a vector: its largest entry becomes 127."""
    scales = embeds.float().abs().amax(dim=1).clamp(min=1e-8) / _LARGEST
    values = (embeds.float() / scales[:, None]).round().clamp(-_LARGEST, _LARGEST)
    return Quantised(values.to(torch.int8), scales.to(torch.float16))


def restored(kept: Quantised) -> Float32[Tensor, "n D"]:
    """Unit vectors again."""
    return F.normalize(kept.values.float() * kept.scales.float()[:, None], dim=1)


class RegionCache:
    """The cached regions of pictures, by uid; use :meth:`open`."""

    def __init__(self, folder: Path, source: RegionSource, embed_dim: int) -> None:
        self.folder, self.source, self.embed_dim = folder, source, embed_dim
        self._places = dict(_places(folder))
        self._files: dict[Path, Any] = {}

    @classmethod
    def open(cls, folder: Path) -> "RegionCache":
        """What ``vlsuite data region-embeddings`` wrote; nothing is read into memory.

        Raises:
            ModelError: not there, not finished, damaged, or of another version.
        """
        try:
            about = read_object(folder / ABOUT)
            if about["format"] != FORMAT:
                raise ValueError(f"format {about['format']}, this version reads {FORMAT}")
            if not about["finished"]:
                raise ValueError("it is not finished; run the same command again to go on")
            source = source_of(about)
            return cls(folder, source, int(about["embed_dim"]))
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise ModelError(
                f"cannot read the regions in {folder}: {' '.join(str(error).split())[:160]}; make "
                "them with 'vlsuite data region-embeddings'"
            ) from error

    def __len__(self) -> int:
        return len(self._places)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_files": {}}

    @property
    def num_bytes(self) -> int:
        """Of all files."""
        return sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file())

    def regions(self, uid: str) -> CachedRegions:
        """Those of a picture.

        Raises:
            BadSampleError: the picture is not among them.
        """
        place = self._places.get(uid)
        if place is None:
            raise BadSampleError("not in model.regions", f"no regions of picture {uid}")
        path, first, last = place
        file = self._files.get(path)
        if file is None:
            file = self._files[path] = safe_open(path, framework="pt")
        boxes = file.get_slice("boxes")[first:last]
        values = file.get_slice("embeds")[first:last]
        if self.source.form == "fp32":
            return CachedRegions(boxes, F.normalize(values, dim=1))
        return CachedRegions(
            boxes, restored(Quantised(values, file.get_slice("scales")[first:last]))
        )


def source_of(about: dict[str, Any]) -> RegionSource:
    """From the content of ``regions.json``."""
    return RegionSource(**{f.name: str(about["source"][f.name]) for f in fields(RegionSource)})


def check_fits(found: RegionSource, wanted: RegionSource, folder: str) -> None:
    """Refuse regions that were made with something else.

    Args:
        found: of the cache.
        wanted: of the run; an empty value is not compared.
    Raises:
        ModelError: they were.
    """
    for name, own in asdict(wanted).items():
        has = getattr(found, name)
        if own and own != has:
            raise ModelError(
                f"model.regions={folder} was made with {name} {has[:12]}, the run has {own[:12]}; "
                "make it again with 'vlsuite data region-embeddings' and the settings of the run"
            )


def _places(folder: Path) -> Iterator[tuple[str, tuple[Path, int, int]]]:
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        with safe_open(path, framework="pt") as file:
            uids = json.loads(file.metadata()["uids"])
            offsets = file.get_tensor("offsets").tolist()
        if len(offsets) != len(uids) + 1:
            raise ValueError(f"{path.name} has {len(uids)} pictures and {len(offsets)} offsets")
        for uid, first, last in zip(uids, offsets, offsets[1:], strict=False):
            yield uid, (path, first, last)
