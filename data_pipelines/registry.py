"""Named components, found by file: one module each, registered by a decorator.

A registry belongs to some packages. Which module registers which name is read from their source
text, so that looking up one name imports one module, and a broken file takes away its own names
and nothing else. Components of others come from plug-ins (``data_pipelines.plugins``): installed
distributions and files that the user names. No list anywhere is edited.
"""

import difflib
import importlib
import importlib.util
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from data_pipelines import plugins
from data_pipelines.errors import UnknownNameError

T = TypeVar("T")
C = TypeVar("C")


class DuplicateNameError(ValueError):
    """Two components want one name: a mistake of their authors, never passed over."""


class Listed(NamedTuple):
    """One name of a registry.

    Attributes:
        name: as registered.
        component: None where its module cannot be imported.
        problem: why it is not available; empty where it is.
    """

    name: str
    component: Any
    problem: str = ""


class Registry(Generic[T]):
    """Name to component, imported when asked for.

    Args:
        kind: what one entry is called in messages, singular ("recipe").
        package: dotted names of the packages whose modules, at any depth, register themselves.
        variable: what those modules call this registry in ``@variable.register("name")``. One
            that calls it otherwise is found too, by importing everything.
    """

    def __init__(
        self, kind: str, *, package: str | Sequence[str], variable: str = "registry"
    ) -> None:
        self._kind = kind
        self._packages = (package,) if isinstance(package, str) else tuple(package)
        self._mark = re.compile(
            rf"^@(?:\w+\.)*{re.escape(variable)}\.register\(\s*[\"']([^\"']+)[\"']", re.MULTILINE
        )
        self._entries: dict[str, T] = {}
        self._index: dict[str, list[str]] | None = None
        self._problems: dict[str, str] = {}

    @property
    def kind(self) -> str:
        """What one entry is called."""
        return self._kind

    def also_in(self, package: str) -> None:
        """Look for components in one more package, which the registry's own may not import."""
        if package not in self._packages:
            self._packages = (*self._packages, package)
            self._index = None

    def register(self, name: str) -> Callable[[C], C]:
        """Decorate a component to make it known as ``name``; a second use of a name is an error."""

        def add(component: C) -> C:
            self._refuse_outsider(name, component)
            if name in self._entries:
                raise DuplicateNameError(
                    f"{self._kind} '{name}' is registered twice: by {_place(self._entries[name])} "
                    f"and by {_place(component)}"
                )
            self._entries[name] = component  # type: ignore[assignment]
            return component

        return add

    def get(self, name: str) -> T:
        """The component called ``name``.

        Raises:
            UnknownNameError: no such name (the message lists the closest ones), or its module
                cannot be imported (the message says why).
        """
        if not isinstance(name, str):
            raise UnknownNameError(f"a {self._kind} is named by a string, not by {name!r}")
        if name not in self._entries:
            self._import(self._modules().get(name, ()))
        if name not in self._entries:
            plugins.load_installed()
        if name not in self._entries and name not in self._modules():
            self._import(self._all_modules())
        if name not in self._entries:
            raise UnknownNameError(self._why_not(name))
        return self._entries[name]

    def names(self) -> list[str]:
        """All names, sorted; those of broken modules too. Imports plug-ins, nothing else."""
        plugins.load_installed()
        return sorted(self._entries.keys() | self._modules().keys())

    def refuse_unknown(self, name: str) -> None:
        """Say that there is no such name, without importing what there is.

        Raises:
            UnknownNameError: no such name (the message lists the closest ones).
        """
        if name not in self.names():
            raise UnknownNameError(self._why_not(name))

    def listed(self) -> list[Listed]:
        """All names with their components; imports their modules, and survives broken ones."""
        plugins.load_installed()
        self._import(list(chain.from_iterable(self._modules().values())))
        return [
            Listed(name, self._entries[name])
            if name in self._entries
            else Listed(name, None, self._problem_of(name) or "its module does not register it")
            for name in self.names()
        ]

    def name_of(self, component: Any) -> str:
        """The name that a component, or the class of an object, is registered under.

        Raises:
            UnknownNameError: it is not registered.
        """
        for name, entry in self._entries.items():
            if entry is component:
                return name
        raise UnknownNameError(
            f"{getattr(component, '__qualname__', component)} is not a registered {self._kind}; "
            "decorate it with the registry's register(NAME)"
        )

    def _refuse_outsider(self, name: str, component: Any) -> None:
        """A name of the packages is theirs, also where its module is not imported yet."""
        own, module = self._modules().get(name, []), getattr(component, "__module__", None)
        if own and module is not None and module not in own:
            raise DuplicateNameError(
                f"{self._kind} '{name}' is registered twice: by {own[0]} and by "
                f"{_place(component)}; give yours another name"
            )

    def _modules(self) -> dict[str, list[str]]:
        """Modules by the names that their source text registers."""
        if self._index is None:
            index: dict[str, list[str]] = {}
            for module, path in self._files():
                try:
                    text = path.read_text(encoding="utf-8")
                except (OSError, UnicodeDecodeError):
                    continue  # importing it says what is wrong, where its name is asked for
                for name in self._mark.findall(text):
                    index.setdefault(name, []).append(module)
            self._index = index
        return self._index

    def _all_modules(self) -> list[str]:
        return [module for module, _ in self._files()]

    def _files(self) -> Iterator[tuple[str, Path]]:
        for package in self._packages:
            spec = importlib.util.find_spec(package)
            assert spec is not None, f"no package {package}"
            for folder in spec.submodule_search_locations or ():
                for path in sorted(Path(folder).rglob("*.py")):
                    parts = path.relative_to(folder).with_suffix("").parts
                    if parts[-1] not in ("__init__", "__main__"):
                        yield ".".join((package, *parts)), path

    def _import(self, modules: Sequence[str]) -> None:
        for module in modules:
            if module in self._problems:
                continue
            try:
                importlib.import_module(module)
            except DuplicateNameError:
                raise
            except Exception as error:
                self._problems[module] = f"{module} cannot be imported ({plugins.told(error)})"

    def _problem_of(self, name: str) -> str:
        found = (self._problems.get(module, "") for module in self._modules().get(name, ()))
        return next(filter(None, found), "")

    def _why_not(self, name: str) -> str:
        if problem := self._problem_of(name):
            return f"{self._kind} '{name}' is not available: {problem}; mend or remove that file"
        known = sorted(self._entries.keys() | self._modules().keys())
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        label = "closest" if close else "known"
        told = f"unknown {self._kind} '{name}'; {label}: {', '.join(close or known)}"
        broken = plugins.problems()
        return told + (f" (not available: {'; '.join(broken)})" if broken else "")


def _place(component: Any) -> str:
    name = getattr(component, "__qualname__", repr(component))
    return f"{getattr(component, '__module__', '?')}.{name}"
