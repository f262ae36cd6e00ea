"""Folders of trained models: which family wrote one, and what is in it."""

from pathlib import Path
from typing import Any, NamedTuple

import torch

from vlsuite.errors import ModelError
from vlsuite.models import registry
from vlsuite.models.family import ModelFamily, TrainableModel
from vlsuite.models.opening import FOLDER, openers

_MARK = "_config.json"


class FamilyFolder(NamedTuple):
    """A folder that a family wrote."""

    family: type[ModelFamily]
    path: Path


def family_folder(place: Path) -> FamilyFolder:
    """The trained model in a run folder (its export) or in an exported folder.

    Raises:
        ModelError: there is none.
    """
    for folder in (place / "export", place):
        for mark in sorted(folder.glob(f"*{_MARK}")):
            name = mark.name.removesuffix(_MARK)
            if name in registry.names():
                return FamilyFolder(registry.get(name), folder)
    looked = ", ".join(f"{name}{_MARK}" for name in registry.names())
    raise ModelError(
        f"no model in {place} (looked for {looked} there and in export/); 'vlsuite export {place}' "
        "writes one from the newest checkpoint of a run; a family of your own needs --import"
    )


def open_trainable(place: Path) -> TrainableModel:
    """The model of ``family_folder`` with its weights, on the CPU.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    family, folder = family_folder(place)
    return family.open_folder(folder)


@openers.register(FOLDER)
def open_folder(name: str, device: torch.device) -> Any:
    """The trained model in a run folder or an exported one, of whichever family."""
    built = open_trainable(Path(name))
    built.module.to(device).eval()
    scalars = built.stored_scalars() or {}
    return built.evaluated(name, scalars=scalars, device=device)
