"""Components are found by being there: one file each, no registry to edit."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import TypeVar

from theory_check.errors import DuplicateNameError

Component = TypeVar("Component")


def modules(package: ModuleType) -> Iterator[ModuleType]:
    """Import and yield every direct submodule of ``package``, in alphabetical order."""
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda found: found.name):
        yield importlib.import_module(f"{package.__name__}.{info.name}")


def classes(package: ModuleType, base: type[Component], key: str) -> dict[str, type[Component]]:
    """Return the subclasses of ``base`` that ``package``'s modules define, by their ``key``.

    Parameters
    ----------
    package
        The room to search; only its direct submodules are read.
    base
        The class whose concrete subclasses are wanted.
    key
        Name of the class attribute that identifies a component.
    """
    found: dict[str, type[Component]] = {}
    for module in modules(package):
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and issubclass(value, base)
                and value is not base
                and value.__module__ == module.__name__
                and hasattr(value, key)
            ):
                _add(found, getattr(value, key), value, module)
    return found


def instances(package: ModuleType, kind: type[Component]) -> dict[str, Component]:
    """Return the module-level instances of ``kind`` in ``package``, by their ``id``."""
    found: dict[str, Component] = {}
    for module in modules(package):
        for value in vars(module).values():
            if isinstance(value, kind):
                _add(found, value.id, value, module)  # type: ignore[attr-defined]
    return found


def _add(found: dict[str, Component], name: str, value: Component, module: ModuleType) -> None:
    if name in found and found[name] is not value:
        raise DuplicateNameError(f"{module.__name__} defines {name!r} again; give it another name")
    found[name] = value
