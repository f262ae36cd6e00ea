"""How a NEVLP model is exported, and shown to be the same when it is loaded again."""

from pathlib import Path

from vlsuite.export.form import Exported, Form
from vlsuite.models.folders import check_same_model
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
    check_same_model(folder, exported, parts="image tower and language model")
    return ["loaded again: all weights, the preprocessing and the tokenizers are the same"]
