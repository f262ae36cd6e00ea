"""How a NEVLP model is exported, and shown to be the same when it is loaded again."""

from pathlib import Path

import torch

from vlsuite.errors import ModelError
from vlsuite.export.form import Exported, Form
from vlsuite.models.nevlp.folder import write_nevlp_folder

_FILES = ("*config.json", "*.safetensors", "README.md", "image_tower", "language_model")
_FILES += ("concepts.jsonl",)


def export_form() -> Form:
    """The folder of all parts."""
    return Form(name="nevlp", write=_write, verify=_verify, files=_FILES)


def _write(folder: Path, exported: Exported) -> None:
    scale = exported.scalars["logit_scale"]
    write_nevlp_folder(folder, exported.built, exported.weights, logit_scale=scale)


def _verify(folder: Path, exported: Exported) -> list[str]:
    again = type(exported.built.config).open_folder(folder)
    scalars = again.stored_scalars()
    assert scalars is not None, "the folder holds a scale"
    again.module.eval()
    model = again.evaluated(exported.model.name, scalars=scalars, device=torch.device("cpu"))
    if model.fingerprint != exported.model.fingerprint:
        raise ModelError(
            f"the exported {exported.model.name} is not the same model when it is loaded again; "
            "nothing was kept. Please report its image tower and language model"
        )
    return ["loaded again: all weights, the preprocessing and the tokenizers are the same"]
