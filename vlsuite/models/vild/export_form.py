"""How a detector is exported, and shown to be the same when it is loaded again."""

from pathlib import Path

from data_pipelines.detection.vocabulary import VOCABULARY_NAME
from vlsuite.export.form import Exported, Form
from vlsuite.models.folders import check_same_model
from vlsuite.models.vild.built import PROMPTS, TEACHER
from vlsuite.models.vild.folder import CARD, write_vild_folder

_FILES = ("*config.json", "*.safetensors", VOCABULARY_NAME, PROMPTS, CARD, TEACHER)


def export_form() -> Form:
    """The folder of all parts."""
    return Form(name="vild", write=_write, verify=_verify, files=_FILES)


def _write(folder: Path, exported: Exported) -> None:
    write_vild_folder(folder, exported.built, exported.weights, name=exported.model.name)


def _verify(folder: Path, exported: Exported) -> list[str]:
    check_same_model(folder, exported, parts="network, vocabulary and teacher")
    return ["loaded again: all weights, the names and the teacher are the same"]
