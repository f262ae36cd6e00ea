"""Small models for benchmarks that need some weights, trained or not."""

from pathlib import Path

import torch

from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.dual_encoder.open_clip_folder import write_open_clip_folder


def export_untrained(folder: Path, seed: int, *, architecture: str = "vlsuite-mini-48") -> Path:
    """An exported folder of random weights, the same for the same seed.

    Args:
        architecture: a name that open_clip or vlsuite knows.
    Returns:
        ``folder``.
    """
    folder.mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        built = OpenClipConfig(name=architecture).build()
    weights = built.encoder.state_dict()
    write_open_clip_folder(folder, built, weights, logit_scale=100.0, logit_bias=None)
    return folder
