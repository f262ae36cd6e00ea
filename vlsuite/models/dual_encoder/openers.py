"""Opens dual encoders by open_clip's names, and any family's folder."""

import torch

from vlsuite.models.dual_encoder.clip import Clip, tokenizer_of
from vlsuite.models.dual_encoder.specification import config_of
from vlsuite.models.opening import ARCHITECTURE, FOLDER, openers


@openers.register(ARCHITECTURE)
def open_architecture(name: str, device: torch.device) -> Clip:
    """An open_clip architecture with its weights: "ViT-B-32:laion2b_s34b_b79k"."""
    config = config_of(name)
    built = config.build()
    assert built.logit_scale is not None, "config_of asks for weights"
    return Clip(
        name,
        built,
        tokenizer_of(config, built),
        encode=built.encoder.to(device).eval(),
        logit_scale=built.logit_scale,
        logit_bias=built.logit_bias or 0.0,
        device=device,
    )


@openers.register("local-dir")
def open_local_folder(rest: str, device: torch.device) -> Clip:
    """A folder that open_clip reads."""
    return open_architecture(f"local-dir:{rest}", device)


@openers.register("hf-hub")
def open_hub(rest: str, device: torch.device) -> Clip:
    """A repository of the Hugging Face hub that open_clip reads."""
    return open_architecture(f"hf-hub:{rest}", device)


@openers.register(FOLDER)
def open_folder(name: str, device: torch.device) -> object:
    """The trained model in a run folder or an exported one, of whichever family."""
    from vlsuite.models.nevlp.opening import nevlp_folder, open_nevlp

    if folder := nevlp_folder(name):
        return open_nevlp(name, folder, device)
    return open_architecture(name, device)
