"""Folders of trained models: which family wrote one, and what is in it."""

from pathlib import Path
from typing import Any, NamedTuple

import torch

from vlsuite.errors import ModelError
from vlsuite.export.form import Exported
from vlsuite.models import registry
from vlsuite.models.family import ModelFamily, TrainableModel
from vlsuite.models.huggingface_clip.folder import CLASSES, is_dual_encoder, load, model_type
from vlsuite.models.opening import openers

_MARK = "_config.json"


class FamilyFolder(NamedTuple):
    """A folder that a family wrote."""

    family: type[ModelFamily]
    path: Path


def is_finished(run: Path) -> bool:
    """Whether a run has written its model to the end: the description of one is written last."""
    return any((run / "export").glob(f"*{_MARK}"))


def _found(place: Path) -> FamilyFolder | None:
    for folder in (place / "export", place):
        for mark in sorted(folder.glob(f"*{_MARK}")):
            name = mark.name.removesuffix(_MARK)
            if name in registry.names():
                return FamilyFolder(registry.get(name), folder)
    return None


def family_folder(place: Path) -> FamilyFolder:
    """The trained model in a run folder (its export) or in an exported folder.

    Raises:
        ModelError: there is none.
    """
    if (found := _found(place)) is not None:
        return found
    looked = ", ".join(f"{name}{_MARK}" for name in registry.names())
    if kind := model_type(place):
        raise ModelError(_of_transformers(place, kind))
    raise ModelError(
        f"no model in {place} (looked for {looked} there and in export/); 'vlsuite export {place}' "
        "writes one from the newest checkpoint of a run; a family of your own needs --import"
    )


def _of_transformers(place: Path, kind: str) -> str:
    """Why a folder in transformers' layout is not taken."""
    if kind in CLASSES:
        return (
            f"{place} is in transformers' layout ({kind}), which is evaluated ('vlsuite eval "
            f"{place}') but not trained or exported again; give the run or export it came from, or "
            "an open_clip folder"
        )
    return (
        f"{place} holds transformers' '{kind}'; of its models that embed, {' and '.join(CLASSES)} "
        f"are opened; for one that answers, write transformers:{place}"
    )


def open_trainable(place: Path) -> TrainableModel:
    """The model of ``family_folder`` with its weights, on the CPU.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    family, folder = family_folder(place)
    return family.open_folder(folder)


def check_same_model(folder: Path, exported: Exported, *, parts: str) -> None:
    """Hold a folder that was just written against the model it came from.

    Args:
        parts: of the model, to be named in a report.
    Raises:
        ModelError: it is another model, or cannot be read.
    """
    again = open_trainable(folder)
    scalars = again.stored_scalars()
    assert scalars is not None, "the folder holds a scale"
    again.module.eval()
    model = again.evaluated(exported.model.name, scalars=scalars, device=torch.device("cpu"))
    if model.fingerprint != exported.model.fingerprint:
        raise ModelError(
            f"the exported {exported.model.name} is not the same model when it is loaded again; "
            f"nothing was kept. Please report its {parts}"
        )


@openers.register("folder")
def open_folder(name: str, device: torch.device) -> Any:
    """The trained model in a run folder or an exported one, of whichever family.

    A folder in transformers' layout (``vlsuite export --format huggingface``, a download) is opened
    as well, if it holds a dual encoder; one that holds open_clip's description besides is opened by
    that.
    """
    if _found(Path(name)) is None and is_dual_encoder(name):
        return load(name, device=device)
    built = open_trainable(Path(name))
    built.module.to(device).eval()
    scalars = built.stored_scalars() or {}
    return built.evaluated(name, scalars=scalars, device=device)
