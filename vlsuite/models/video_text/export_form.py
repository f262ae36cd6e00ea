"""How a model of videos is exported, and shown to be the same when it is loaded again."""

from pathlib import Path

from vlsuite.export.form import Exported, Form
from vlsuite.models.folders import check_same_model
from vlsuite.models.video_text.folder import CARD, IMAGE_TEXT


def export_form(family: str) -> Form:
    """The folder of all parts.

    Args:
        family: by its registered name.
    """
    files = ("*config.json", "*.safetensors", CARD, IMAGE_TEXT)
    return Form(name=family, write=_write, verify=_verify, files=files)


def _write(folder: Path, exported: Exported) -> None:
    exported.built.write(
        folder,
        exported.weights,
        scalars=exported.scalars,
        name=exported.name,
        history=exported.history,
    )


def _verify(folder: Path, exported: Exported) -> list[str]:
    check_same_model(folder, exported, parts="image tower")
    return ["loaded again: all weights, the preprocessing and the tokenizer are the same"]
