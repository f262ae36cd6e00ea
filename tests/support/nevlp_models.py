"""NEVLP models of a few thousand trained weights between tiny frozen towers with random ones."""

import dataclasses
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch

from tests.support.exported_models import exported_model
from tests.support.language_models import random_language_model
from vlsuite.batches.pairs import PairBatch
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.nevlp.built import BuiltNevlp
from vlsuite.models.nevlp.config import NevlpConfig
from vlsuite.models.nevlp.encoder import NevlpOutput
from vlsuite.models.nevlp.querying_transformer import QueryingConfig

CAPTIONS = (
    "a large red circle top left on white",
    "a small blue square in the middle on black",
    "bottom right, a small triangle in green, yellow background",
    "objects: circle, square, triangle.",
)
SIDE = 16  # pixels


@cache
def frozen_parts() -> tuple[Path, Path]:
    """Folders of an image tower and of a language model, made once a session."""
    root = Path(mkdtemp(prefix="vlsuite-nevlp-"))
    return exported_model(root / "tower"), random_language_model(root / "lm", CAPTIONS)


def tiny_config(**changes: Any) -> NevlpConfig:
    """Four queries of width 32 in two layers."""
    tower, language_model = frozen_parts()
    config = NevlpConfig(
        image_tower=OpenClipConfig(name=f"local-dir:{tower}"),
        querying=QueryingConfig(num_queries=4, width=32, depth=2, heads=2),
        language_model=str(language_model),
        context_length=16,
        concept_length=12,
        embed_dim=16,
    )
    return dataclasses.replace(config, **changes)


def tiny_nevlp(*, seed: int = 0, **changes: Any) -> BuiltNevlp:
    """A built model whose trained weights are large enough to make a difference."""
    torch.manual_seed(seed)
    built = tiny_config(**changes).build()
    with torch.no_grad():
        for parameter in built.encoder.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return built


def tiny_batch(built: BuiltNevlp, *, concepts: tuple[tuple[str, ...], ...] = ()) -> PairBatch:
    """Three pairs of noise and caption."""
    generator = torch.Generator().manual_seed(0)
    return PairBatch(
        images=torch.randint(0, 256, (3, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator),
        token_ids=built.tokenizer(list(CAPTIONS[:3])),
        uids=("a", "b", "c"),
        sources=(0, 0, 0),
        caption_numbers=(0, 0, 0),
        identities=(None, None, None),
        concepts=concepts,
    )


def output_of(built: BuiltNevlp, batch: PairBatch, *, seed: int = 0) -> NevlpOutput:
    """The encoder's output, its draws started at a seed."""
    torch.manual_seed(seed)
    pixels = batch.images.float() / 127.5 - 1
    return built.encoder(pixels, **built.encoder.inputs_of(batch, "cpu"))
