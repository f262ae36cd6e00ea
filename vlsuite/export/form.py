"""One form that a trained model can be exported in, and the proof that it holds the same model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from vlsuite.export.run_history import RunHistory


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What is written.

    Attributes:
        built: the ``TrainableModel``.
        weights: fp32, by name in its module.
        scalars: of its objective.
        model: the same model as evaluations see it, to compare with.
        name: title of the card.
        history: of the run; None where no run folder tells of it.
        names: of the vocabulary to fold in (see ``Form.takes_names``); empty takes the model's own.
    """

    built: Any
    weights: Mapping[str, Tensor]
    scalars: Mapping[str, float]
    model: Any
    name: str
    history: RunHistory | None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """One form.

    Attributes:
        name: on the command line.
        write: writes the folder, card included.
        verify: reads it back, compares, and says in a few lines what came out; raises ModelError
            where it is not the same model.
        files: patterns of all names that such a folder may hold: one with any other is not ours.
        takes_names: whether a vocabulary is folded in.
    """

    name: str
    write: Callable[[Path, Exported], None]
    verify: Callable[[Path, Exported], list[str]]
    files: tuple[str, ...]
    takes_names: bool = False
