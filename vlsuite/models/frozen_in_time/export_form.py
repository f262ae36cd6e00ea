"""How a model of videos is exported, and shown to be the same when it is loaded again."""

from pathlib import Path

import torch

from vlsuite.errors import ModelError
from vlsuite.export.form import Exported, Form
from vlsuite.models.frozen_in_time.folder import CARD, IMAGE_TEXT


def export_form() -> Form:
    """The folder of all parts."""
    files = ("*config.json", "*.safetensors", CARD, IMAGE_TEXT)
    return Form(name="frozen_in_time", write=_write, verify=_verify, files=files)


def _write(folder: Path, exported: Exported) -> None:
    exported.built.write(
        folder,
        exported.weights,
        scalars=exported.scalars,
        name=exported.name,
        history=exported.history,
    )


def _verify(folder: Path, exported: Exported) -> list[str]:
    from vlsuite.models.folders import open_trainable

    again = open_trainable(folder)
    scalars = again.stored_scalars()
    assert scalars is not None, "the folder holds a scale"
    again.module.eval()
    model = again.evaluated(exported.model.name, scalars=scalars, device=torch.device("cpu"))
    if model.fingerprint != exported.model.fingerprint:
        raise ModelError(
            f"the exported {exported.model.name} is not the same model when it is loaded again; "
            "nothing was kept. Please report its image tower"
        )
    return ["loaded again: all weights, the preprocessing and the tokenizer are the same"]
