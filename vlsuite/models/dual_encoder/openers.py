"""Opens dual encoders by open_clip's names."""

import torch

from vlsuite.models.dual_encoder.clip import Clip
from vlsuite.models.dual_encoder.specification import config_of
from vlsuite.models.opening import openers


@openers.register("architecture")
def open_architecture(name: str, device: torch.device) -> Clip:
    """An open_clip architecture with its weights: "ViT-B-32:laion2b_s34b_b79k"."""
    built = config_of(name).build()
    scalars = built.stored_scalars()
    assert scalars is not None, "config_of asks for weights"
    built.module.to(device).eval()
    return built.evaluated(name, scalars=scalars, device=device)


@openers.register("local-dir")
def open_local_folder(rest: str, device: torch.device) -> Clip:
    """A folder that open_clip reads."""
    return open_architecture(f"local-dir:{rest}", device)


@openers.register("hf-hub")
def open_hub(rest: str, device: torch.device) -> Clip:
    """A repository of the Hugging Face hub that open_clip reads."""
    return open_architecture(f"hf-hub:{rest}", device)
