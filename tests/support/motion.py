"""Clips of moving sprites from noise, without the emoji packages."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_pipelines.motion.clips import ClipSettings, Digests, make_clips
from data_pipelines.motion.sprites import Sprite
from data_pipelines.schema import Sample
from data_pipelines.shards.write import write_pairs

_NAMES = ("cat", "dog", "hen", "fox", "cow", "owl")


def noise_sprites() -> list[Sprite]:
    """Six cut-out pictures that look different when turned."""
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (len(_NAMES), 72, 60, 4), dtype=np.uint8)
    pixels[..., 3] = np.where(np.arange(72)[:, None] + np.arange(60) < 90, 255, 0)
    return [Sprite(name, name, own, True) for name, own in zip(_NAMES, pixels, strict=True)]


def motion_clips(num_clips: int, **settings: Any) -> list[Sample]:
    """Clips of a test split; settings are those of ``ClipSettings``."""
    return list(
        make_clips(
            noise_sprites(),
            ClipSettings(**settings),
            split="test",
            seed=0,
            num_clips=num_clips,
            digests=Digests(),
        )
    )


def write_clips(folder: Path, clips: Sequence[Sample]) -> Path:
    """One shard of clips; gives the folder."""
    write_pairs(clips, folder)
    return folder
