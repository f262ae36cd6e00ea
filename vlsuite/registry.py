"""Named components, found by file: one sibling module each, registered by a decorator.

A registry belongs to one package, or to several. The first lookup imports every module of them,
so adding a component means adding one file; no list anywhere is edited.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from vlsuite.errors import UnknownNameError

T = TypeVar("T")


class Registry(Generic[T]):
    """Name to component, filled lazily from the modules of some packages.

    Args:
        kind: what one entry is called in messages, singular ("recipe").
        package: dotted names of the packages whose modules register themselves.
    """

    def __init__(self, kind: str, *, package: str | Sequence[str]) -> None:
        self._kind = kind
        self._packages = (package,) if isinstance(package, str) else tuple(package)
        self._entries: dict[str, T] = {}
        self._scanned = False

    def register(self, name: str) -> Callable[[T], T]:
        """Decorate a component to make it known as ``name``; a second use of a name is an error."""

        def add(component: T) -> T:
            if name in self._entries:
                raise ValueError(
                    f"{self._kind} '{name}' is registered twice ({', '.join(self._packages)})"
                )
            self._entries[name] = component
            return component

        return add

    def get(self, name: str) -> T:
        """The component called ``name``.

        Raises:
            UnknownNameError: no such name; the message lists the closest ones.
        """
        self._scan()
        if name not in self._entries:
            close = difflib.get_close_matches(name, self._entries, n=3, cutoff=0.4)
            shown = close or sorted(self._entries)
            label = "closest" if close else "known"
            raise UnknownNameError(f"unknown {self._kind} '{name}'; {label}: {', '.join(shown)}")
        return self._entries[name]

    def names(self) -> list[str]:
        """All registered names, sorted."""
        self._scan()
        return sorted(self._entries)

    def _scan(self) -> None:
        if self._scanned:
            return
        self._scanned = True
        for name in self._packages:
            package = importlib.import_module(name)
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{name}.{module.name}")
