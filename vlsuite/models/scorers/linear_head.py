"""A head on the vectors of pictures: aesthetic predictors, watermark and safety classifiers.

LAION's aesthetic predictors are such heads on CLIP L/14: one linear layer (V1), or several without
anything between them in evaluation (V2: 768, 1024, 128, 64, 16, 1, with dropout in training). The
head is a file of safetensors with the tensors ``NAME.weight`` [out, in] and ``NAME.bias`` [out] of
each layer, in the natural order of the names ("layers.0", "layers.2"). What stands between layers
is told by the file's metadata, ``activation``: "none" (default) or "relu".
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor

from data_pipelines.foreign_files import refused_as
from data_pipelines.shards.manifest import sha256_of
from vlsuite.errors import ConfigError, ModelError
from vlsuite.models.embedding import PairEmbedder
from vlsuite.models.scorers.contract import scorers
from vlsuite.models.scorers.dual_encoder import opened_dual_encoder
from vlsuite.models.shard_batches import SampleBatch

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"none": lambda x: x, "relu": F.relu}


@scorers.register("linear-head")
@dataclass(frozen=True, kw_only=True)
class LinearHeadSettings:
    """A head on the unit vectors of pictures.

    Args:
        head: file of safetensors with its layers; see ``vlsuite.models.scorers.linear_head``.
    """

    head: Path | None = None

    def __post_init__(self) -> None:
        if self.head is not None:  # nodes of a cluster run in other folders
            object.__setattr__(self, "head", self.head.absolute())

    def build(self, model: str, *, device: str) -> "LinearHeadScorer":
        """See ``ScorerSettings``."""
        if self.head is None:
            raise ConfigError("scorer 'linear-head' wants its file: --set head=FILE.safetensors")
        head = load_head(self.head)
        return LinearHeadScorer(
            opened_dual_encoder(model, device=device), head, digest=sha256_of(self.head)
        )


class Layer(NamedTuple):
    """x -> x weight^T + bias."""

    weight: Float[Tensor, "out inner"]
    bias: Float[Tensor, " out"]


class Head(NamedTuple):
    """Layers in order, and what stands between them."""

    layers: tuple[Layer, ...]
    activation: str

    def __call__(self, vectors: Float[Tensor, "batch inner"]) -> Float[Tensor, " batch"]:
        """One number a vector."""
        for number, (weight, bias) in enumerate(self.layers):
            between = _ACTIVATIONS[self.activation] if number else _ACTIVATIONS["none"]
            vectors = F.linear(between(vectors), weight, bias)
        return vectors[:, 0]


class LinearHeadScorer:
    """Satisfies ``SampleScorer``.

    Args:
        model: embeds pictures.
        head: on its unit vectors.
        digest: of the head's file.
    """

    reads_texts = False

    def __init__(self, model: PairEmbedder, head: Head, *, digest: str) -> None:
        self._model = model
        self._head = head
        self._digest = digest

    @property
    def fingerprint(self) -> str:
        """Of the model and the head."""
        return f"linear-head:{self._digest}:{self._model.fingerprint}"

    @property
    def image_transform(self) -> Callable[..., Tensor]:
        """The model's."""
        return self._model.image_transform

    @torch.inference_mode()
    def scores(self, batch: SampleBatch) -> Float32[np.ndarray, " batch"]:
        """See ``SampleScorer``.

        Raises:
            ModelError: the head is for vectors of another length.
        """
        vectors = self._model.embed_images(torch.stack(batch.pixels)).float().cpu()
        wanted = self._head.layers[0].weight.shape[1]
        if vectors.shape[1] != wanted:
            raise ModelError(
                f"the head takes vectors of {wanted} numbers and the model gives "
                f"{vectors.shape[1]}; name the model that the head was made for"
            )
        return self._head(vectors).numpy().astype(np.float32)


def load_head(path: Path) -> Head:
    """The head in a file of safetensors.

    Raises:
        ModelError: it cannot be read, or its layers do not follow each other to one number.
    """
    from safetensors import safe_open

    advice = "give safetensors with NAME.weight and NAME.bias of each layer"
    with (
        refused_as(ModelError, f"cannot read the head {path}", advice=advice),
        safe_open(str(path), framework="pt") as file,
    ):
        activation = (file.metadata() or {}).get("activation", "none")
        tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    names = sorted({name.rpartition(".")[0] for name in tensors}, key=_natural)
    layers = [
        Layer(tensors.pop(_dotted(name, "weight")), tensors.pop(_dotted(name, "bias")))
        for name in names
        if {_dotted(name, "weight"), _dotted(name, "bias")} <= tensors.keys()
    ]
    if tensors or not layers or not _fit(layers) or activation not in _ACTIVATIONS:
        shapes = ", ".join(str(tuple(layer.weight.shape)) for layer in layers)
        raise ModelError(
            f"{path} is no head: layers of shapes {shapes or 'none'}, other tensors "
            f"{sorted(tensors)[:3]}, activation '{activation}'; {advice}, the last with one "
            f"output, and activation of {', '.join(_ACTIVATIONS)}"
        )
    return Head(tuple(layers), activation)


def _dotted(name: str, part: str) -> str:
    return f"{name}.{part}" if name else part


def _fit(layers: list[Layer]) -> bool:
    sizes = [layers[0].weight.shape[-1]]
    for weight, bias in layers:
        if weight.ndim != 2 or weight.shape[1] != sizes[-1] or bias.shape != weight.shape[:1]:
            return False
        sizes.append(weight.shape[0])
    return sizes[-1] == 1


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
