"""Opens a trained NEVLP model."""

from pathlib import Path

import torch

from vlsuite.models.nevlp.config import DESCRIPTION, build_from_folder
from vlsuite.models.nevlp.model import Nevlp


def nevlp_folder(spec: str) -> Path | None:
    """The folder of a trained NEVLP model that a name stands for; None: it is no such model."""
    for folder in (Path(spec) / "export", Path(spec)):
        if (folder / DESCRIPTION).is_file():
            return folder
    return None


def open_nevlp(name: str, folder: Path, device: torch.device) -> Nevlp:
    """The model in a folder that ``nevlp_folder`` found."""
    built = build_from_folder(folder)
    assert built.logit_scale is not None, "folders hold a scale"
    built.encoder.to(device).eval()
    return Nevlp(name, built, logit_scale=built.logit_scale, device=device)
