"""How a model of videos is exported, and shown to be the same when it is loaded again."""

from functools import partial
from pathlib import Path

from vlsuite.export.form import Exported, Form
from vlsuite.models.folders import check_same_model
from vlsuite.models.video_text.folder import CARD, IMAGE_TEXT


def export_form(family: str, *, more: tuple[str, ...] = (), parts: str = "image tower") -> Form:
    """The folder of all parts.

    Args:
        family: by its registered name.
        more: folders in it besides those that all such models have.
        parts: of the model, to be named where it is not the same when it is loaded again.
    """
    files = ("*config.json", "*.safetensors", CARD, IMAGE_TEXT, *more)
    return Form(name=family, write=_write, verify=partial(_verify, parts=parts), files=files)


def _write(folder: Path, exported: Exported) -> None:
    exported.built.write(
        folder,
        exported.weights,
        scalars=exported.scalars,
        name=exported.name,
        history=exported.history,
    )


def _verify(folder: Path, exported: Exported, *, parts: str) -> list[str]:
    check_same_model(folder, exported, parts=parts)
    return ["loaded again: all weights, the preprocessing and the tokenizer are the same"]
