"""Names that users give to components: a registered name, or a kind with what it takes.

A component registered as ``spacy:`` takes what stands behind the colon: ``spacy:en_core_web_md``.
One registered as ``rules`` takes nothing, and ``rules:5`` is no name.
"""

from typing import NamedTuple, TypeVar

from data_pipelines.registry import Registry

T = TypeVar("T")


class ComponentName(NamedTuple):
    """A parsed name.

    Attributes:
        name: as registered, with the colon where something follows.
        rest: what stands behind the colon; empty without one.
    """

    name: str
    rest: str


def parsed(name: str) -> ComponentName:
    """The two parts of a name; nothing is looked up."""
    kind, colon, rest = name.partition(":")
    return ComponentName(kind + colon, rest)


def is_known(name: str, registry: Registry) -> bool:
    """Whether the registry has what a name stands for; imports no component."""
    return parsed(name).name in registry.names()


def named(name: str, registry: Registry[T]) -> tuple[T, str]:
    """The component that a name stands for, and what it is to take.

    Raises:
        UnknownNameError: there is none, or its module cannot be imported.
    """
    own = parsed(name)
    return registry.get(own.name), own.rest
