"""A trained detector that another one starts from."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from data_pipelines.detection.vocabulary import Vocabulary
from vlsuite.errors import ModelError
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.folders import family_folder
from vlsuite.models.vild.built import DESCRIPTION, TEACHER, WEIGHTS
from vlsuite.models.vild.crops import CropSettings
from vlsuite.models.vild.network import LOCALIZER, VildNetwork
from vlsuite.models.vild.teacher import Teacher

#: Rows of names of a supervised detector.
_CLASSES = ("classes.weight", "classes.bias")


class StartingPoint(NamedTuple):
    """The detector that ``model.pretrained`` names.

    Attributes:
        place: as it was named.
        folder: where its files are.
        weights: by name in the network.
        names: of its training, as words.
    """

    place: str
    folder: Path
    weights: dict[str, Tensor]
    names: tuple[str, ...]

    @classmethod
    def open(cls, place: str) -> "StartingPoint":
        """A run or an exported folder.

        Raises:
            ModelError: there is no detector of this family.
            DataError: its vocabulary cannot be read.
        """
        folder, weights = _weights_of(place, setting="pretrained")
        return cls(place, folder, weights, Vocabulary.load(folder).texts)

    @property
    def teacher(self) -> OpenClipConfig:
        """The copy of its teacher.

        Raises:
            ModelError: it has none: its mode was "supervised".
        """
        if not (self.folder / TEACHER).is_dir():
            raise ModelError(
                f"model.pretrained={self.place} is a supervised detector, which no teacher taught; "
                "fine-tune it with model.mode=supervised, or set model.teacher.name"
            )
        return OpenClipConfig(name=f"local-dir:{self.folder / TEACHER}")

    def refuse_other_teacher(self, fingerprint: str) -> None:
        """Names of another teacher lie elsewhere than those its weights have learned.

        Raises:
            ModelError: it was taught by another one.
        """
        own = Teacher(self.teacher, prompts=("{c}",), synonyms={}, crops=CropSettings())
        if own.fingerprint != fingerprint:
            raise ModelError(
                f"model.pretrained={self.place} was taught by another teacher than model.teacher; "
                f"set model.teacher.name={self.teacher.name} model.teacher.pretrained=none"
            )

    def give_weights(self, network: VildNetwork, names: Sequence[str]) -> None:
        """Load all weights; a supervised detector's rows by name, new names staying as they are.

        Args:
            names: rows of the network's own vocabulary, as words.
        Raises:
            ModelError: they are those of another network or mode.
        """
        wanted = network.state_dict()
        weights = dict(self.weights)
        if network.mode == "supervised" and all(name in weights for name in _CLASSES):
            row_of = {name: row for row, name in enumerate(self.names)}
            known = [row for row, name in enumerate(names) if name in row_of]
            theirs = torch.tensor([0, *(1 + row_of[names[row]] for row in known)])
            own = torch.tensor([0, *(1 + row for row in known)])
            for name in _CLASSES:
                mixed = wanted[name].clone()
                mixed[own] = weights[name][theirs]
                weights[name] = mixed
        if differing := _differing(weights, wanted):
            raise ModelError(
                f"model.pretrained={self.place} is another network ('{differing}' differs); give "
                "this run the model.network and model.mode of that one (text and vild are one)"
            )
        network.load_state_dict(weights)


def start_from_localizer(network: VildNetwork, place: str) -> None:
    """Take trunk, proposals, boxes and masks of a trained detector.

    Raises:
        ModelError: there is none, or it is another network.
    """
    _, weights = _weights_of(place, setting="localizer")
    own = {name: value for name, value in weights.items() if name.startswith(LOCALIZER)}
    wanted = {n: v for n, v in network.state_dict().items() if n.startswith(LOCALIZER)}
    if differing := _differing(own, wanted):
        raise ModelError(
            f"model.localizer={place} is another network ('{differing}' differs); give this run "
            "the same model.network as that one"
        )
    network.load_state_dict(own, strict=False)


def _weights_of(place: str, *, setting: str) -> tuple[Path, dict[str, Tensor]]:
    folder = family_folder(Path(place)).path
    try:
        return folder, load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"model.{setting}={place} is no detector of this family ({error}); name a run of "
            f"model=vild, or a folder with {DESCRIPTION}"
        ) from error


def _differing(weights: dict[str, Tensor], wanted: dict[str, Tensor]) -> str:
    """The first weight that one of both lacks or has in another shape; empty where all fit."""
    if missing := sorted(weights.keys() ^ wanted.keys()):
        return missing[0]
    other = sorted(name for name, own in weights.items() if own.shape != wanted[name].shape)
    return next(iter(other), "")
