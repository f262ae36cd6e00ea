"""Models by name: one grammar for every command, one opener for each kind of model.

A name is one of::

    FOLDER                     a run of ``vlsuite train``, or a folder of ``vlsuite export``
    ARCHITECTURE:WEIGHTS       an open_clip architecture with a tag or a weights file
    ARCHITECTURE:FILE@TAG      likewise, prepared like that tag (or a JSON file in its place)
    KIND:REST                  any registered kind: "local-dir:FOLDER", "hf-hub:ORG/REPO", ...
    http://HOST/PATH#MODEL     likewise, the scheme being the kind

A folder that exists is meant before anything else. Openers register themselves under the kind they
open; those of this package know models that embed, and ``eval.opening`` adds the ones that only
answer. An opener is a function ``(rest, device)``, or, where a kind has settings, a frozen
dataclass of them with a method ``open(rest, device)``.
"""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from data_pipelines.registry import Registry
from data_pipelines.settings import apply_overrides
from vlsuite.errors import ConfigError, ModelError

if TYPE_CHECKING:
    import torch


@runtime_checkable
class Settings(Protocol):
    """Settings of a kind of model, a frozen dataclass whose fields all have defaults."""

    def open(self, rest: str, device: "torch.device") -> Any:
        """The model; ``rest`` as an opener gets it."""
        ...


#: Opens what stands behind the kind in a name; the whole name for a kind without a prefix.
Opener = Callable[[str, "torch.device"], Any] | type[Settings]

#: Of ``Opener``; ``Any`` keeps the types of what is registered as they are.
openers: Registry[Any] = Registry("kind of model", package=("vlsuite.models",), variable="openers")

FOLDER, ARCHITECTURE = "folder", "architecture"
#: Kinds that no prefix stands for.
_WITHOUT_PREFIX = frozenset({FOLDER, ARCHITECTURE})


class ModelName(NamedTuple):
    """A parsed name.

    Attributes:
        kind: which opener opens it.
        rest: what stands behind the kind; the whole name for folders, architectures and addresses.
    """

    kind: str
    rest: str

    @property
    def halves(self) -> tuple[str, str]:
        """Architecture and weights, or address and model; the second is empty where it is left out.

        Names of other kinds have one half.
        """
        mark = ":" if self.kind == ARCHITECTURE else "#" if self.is_address else ""
        first, _, second = self.rest.partition(mark) if mark else (self.rest, "", "")
        return first, second

    @property
    def is_address(self) -> bool:
        """Whether it begins with a scheme: "http://"."""
        return self.rest.startswith(f"{self.kind}://")


def parsed(name: str) -> ModelName:
    """Which kind of model a name stands for; nothing is opened.

    Raises:
        ModelError: the name is empty, or there is nothing behind its kind.
    """
    if not name:
        raise ModelError(f"a model without a name; {forms()}")
    if os.path.isdir(name):
        return ModelName(FOLDER, name)
    kind, colon, rest = name.partition(":")
    if colon and rest.startswith("//"):
        return ModelName(kind, name)
    if not colon or kind not in _prefixes():
        return ModelName(ARCHITECTURE, name)
    if not rest:
        raise ModelError(f"'{name}' names no model; write {kind}:NAME")
    return ModelName(kind, rest)


def open_model(
    name: str, *, device: "str | torch.device" = "cpu", settings: Sequence[str] | Settings = ()
) -> Any:
    """The model of that name, ready for evaluation.

    Args:
        name: see the module.
        device: "cpu", "cuda", "cuda:1", ...
        settings: for kinds of models that have some: an object of ``settings_of(name)``, or
            "key=value" of its fields.
    Raises:
        ModelError: nothing there, no weights, or weights of another architecture.
        UnknownNameError: no such architecture or kind.
        ConfigError: the kind has no such setting, or none at all.
    """
    import torch

    kind, rest = parsed(name)
    opener: Opener = openers.get(kind)
    if isinstance(opener, type):
        return _chosen(opener, settings).open(rest, torch.device(device))
    if settings:
        given = settings if isinstance(settings, list | tuple) else (settings,)
        raise ConfigError(f"{name} has no settings; leave {', '.join(map(str, given))} out")
    return opener(rest, torch.device(device))


def settings_of(name: str) -> type | None:
    """The dataclass with the settings of the kind of model a name stands for; None: it has none.

    Raises:
        UnknownNameError: no such kind.
    """
    opener = openers.get(parsed(name).kind)
    return opener if isinstance(opener, type) else None


def _chosen(cls: type[Settings], settings: Sequence[str] | Settings) -> Settings:
    if isinstance(settings, cls):
        return settings
    if not isinstance(settings, Sequence):
        raise ConfigError(f"settings of another kind of model: {settings}; give a {cls.__name__}")
    return apply_overrides(cls(), settings, where="model.")


def forms() -> str:
    """How names of models look, for messages."""
    return f"a model is FOLDER, ARCHITECTURE:WEIGHTS or KIND:REST, KIND {', '.join(_prefixes())}"


def _prefixes() -> list[str]:
    return [kind for kind in openers.names() if kind not in _WITHOUT_PREFIX]
