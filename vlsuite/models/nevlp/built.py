"""A NEVLP model as it was built, and what the folder of a trained one holds.

The folder holds everything: ``nevlp_config.json``, the trained weights in
``nevlp.safetensors``, the image tower as an open_clip folder, the language model as a folder of
transformers, and ``concepts.jsonl`` where the model names concepts itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from data_pipelines.settings import to_dict
from vlsuite.batches.concepts import TaggerSettings
from vlsuite.batches.tokenizer import CachedTokenizer
from vlsuite.models.dual_encoder.built import BuiltModel
from vlsuite.models.nevlp.encoder import FROZEN_PREFIXES, NevlpEncoder
from vlsuite.models.nevlp.settings import NevlpSettings

DESCRIPTION = "nevlp_config.json"
WEIGHTS = "nevlp.safetensors"
IMAGE_TOWER, LANGUAGE_MODEL, CONCEPTS = "image_tower", "language_model", "concepts.jsonl"
FORMAT = 1

_PLACES = ("image_tower", "language_model", "concepts")


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltNevlp:
    """A NEVLP model, and all that is needed to feed and export it.

    Attributes:
        encoder: the frozen parts and the trained one.
        config: it was built from.
        image_tower: the frozen CLIP that its image tower belongs to.
        preprocess: of pictures, as of the image tower.
        tokenizer: of the language model; reads all texts.
        tagger: how the model names concepts in pictures that it is shown; None: not at all.
        logit_scale: stored with loaded weights; None before training.
    """

    encoder: NevlpEncoder
    config: NevlpSettings
    image_tower: BuiltModel
    preprocess: dict[str, Any]
    tokenizer: CachedTokenizer
    tagger: TaggerSettings | None
    logit_scale: float | None = None
    logit_bias: None = None


def described(config: NevlpSettings, *, logit_scale: float) -> dict[str, Any]:
    """What ``nevlp_config.json`` holds: the config without places on one machine."""
    settings = {key: value for key, value in to_dict(config).items() if key not in _PLACES}
    return {"format": FORMAT, "logit_scale": logit_scale, "model": settings}


def trained_part(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights that are not frozen."""
    return {k: v for k, v in weights.items() if not k.startswith(FROZEN_PREFIXES)}


def frozen_part(weights: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """The weights of "image_tower" or "language_model", under that part's own names."""
    mark = f"{part}."
    return {k.removeprefix(mark): v for k, v in weights.items() if k.startswith(mark)}
