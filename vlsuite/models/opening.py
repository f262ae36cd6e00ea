"""Models by name: one grammar for every command, one opener for each kind of model.

A name is one of::

    FOLDER                     a run of ``vlsuite train``, or a folder of ``vlsuite export``
    ARCHITECTURE:WEIGHTS       an open_clip architecture with a tag or a weights file
    KIND:REST                  any registered kind: "local-dir:FOLDER", "hf-hub:ORG/REPO", ...
    http://HOST/PATH#MODEL     likewise, the scheme being the kind

Openers register themselves under the kind they open. Those of this package know models that
embed; ``eval.opening`` adds the ones that only answer.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from data_pipelines.registry import Registry

#: Opens what stands behind the kind in a name; the whole name for a kind without a prefix.
Opener = Callable[[str, torch.device], Any]

openers: Registry[Opener] = Registry(
    "kind of model", package=("vlsuite.models",), variable="openers"
)

FOLDER, ARCHITECTURE = "folder", "architecture"


class ModelName(NamedTuple):
    """A parsed name.

    Attributes:
        kind: which opener opens it.
        rest: what stands behind the kind; the whole name for folders, architectures and addresses.
    """

    kind: str
    rest: str


def parsed(name: str) -> ModelName:
    """Which kind of model a name stands for; nothing is opened."""
    if Path(name).is_dir():
        return ModelName(FOLDER, name)
    kind, colon, rest = name.partition(":")
    if colon and rest.startswith("//"):
        return ModelName(kind, name)
    if colon and kind in openers.names():
        return ModelName(kind, rest)
    return ModelName(ARCHITECTURE, name)


def open_model(name: str, *, device: str | torch.device = "cpu") -> Any:
    """The model of that name, ready for evaluation.

    Args:
        name: see the module.
        device: "cpu", "cuda", "cuda:1", ...
    Raises:
        ModelError: nothing there, no weights, or weights of another architecture.
        UnknownNameError: no such architecture or kind.
    """
    kind, rest = parsed(name)
    return openers.get(kind)(rest, torch.device(device))
