"""The kinds of components: in which room each is found, and how."""

from __future__ import annotations

import dataclasses
import importlib
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from theory_check.catalogue.roots import Root
from theory_check.errors import DuplicateNameError, InvalidArgumentError, shortened
from theory_check.files import read_file

Members = Callable[[ModuleType], Mapping[Any, Any]]

PROBLEMS = "problems.toml"
"""The file beside experiments that states problems by name."""


@dataclass(frozen=True)
class ModuleKind:
    """Components that modules define.

    Attributes
    ----------
    room
        Where their modules are.
    members
        What a module defines, by name.
    """

    room: str
    members: Members


@dataclass(frozen=True)
class FileKind:
    """Components that are files, by stem.

    Attributes
    ----------
    files
        Those of a root.
    """

    files: Callable[[Root], Iterator[Path]]


@dataclass(frozen=True)
class TableKind:
    """Components that are tables of one file, by their keys.

    Attributes
    ----------
    file
        That of a root, which need not have one.
    """

    file: Callable[[Root], Path]

    def tables(self, root: Root) -> Mapping[str, Any]:
        """Return the tables of a root.

        Raises
        ------
        InvalidArgumentError
            For a file that cannot be read or is no TOML, or an entry that is no table.
        """
        path = self.file(root)
        if not os.path.lexists(path):
            return {}
        try:
            found = tomllib.loads(read_file(path).decode("utf-8"))
        except OSError as error:
            raise InvalidArgumentError(
                str(path),
                f"what cannot be read ({error.strerror})",
                "make it a readable file of tables, or remove it",
            ) from error
        except ValueError as error:
            raise InvalidArgumentError(
                str(path), "a file that is not TOML", f"correct it: {shortened(str(error), 200)}"
            ) from error
        for name, table in found.items():
            if not isinstance(table, dict):
                raise InvalidArgumentError(
                    f"{path}: {name}", shortened(table), "write a table, as in [bandit]"
                )
        return found


def experiment_files(root: Root) -> Iterator[Path]:
    """Return the experiment files of a root, comparisons apart."""
    return (path for path in root.experiments.glob("*.toml") if path.name != PROBLEMS)


def _function_of_the_file(module: ModuleType) -> Mapping[str, Any]:
    name = module.__name__.rpartition(".")[2]
    function = getattr(module, name, None)
    return {name: function} if callable(function) else {}


def _own_classes(module: ModuleType) -> Iterator[Any]:
    for value in vars(module).values():
        if isinstance(value, type) and value.__module__ == module.__name__:
            yield value


def _solvers(module: ModuleType) -> Mapping[str, Any]:
    named = {found.name: found for found in _own_classes(module) if hasattr(found, "name")}
    return {name: found for name, found in named.items() if dataclasses.is_dataclass(found)}


def _subclasses(base: str, key: str) -> Members:
    """Return how to find the subclasses of ``base``, by their attribute ``key``."""

    def members(module: ModuleType) -> Mapping[Any, Any]:
        wanted = _named(base)
        return {
            getattr(found, key): found
            for found in _own_classes(module)
            if issubclass(found, wanted) and found is not wanted and hasattr(found, key)
        }

    return members


def _instances(kind: str) -> Members:
    """Return how to find the instances of ``kind``, by their ``id``."""

    def members(module: ModuleType) -> Mapping[str, Any]:
        wanted = _named(kind)
        found: dict[str, Any] = {}
        for value in vars(module).values():
            if isinstance(value, wanted) and found.setdefault(value.id, value) is not value:
                raise DuplicateNameError(
                    f"{module.__name__} defines {value.id!r} twice; give one of them another name"
                )
        return found

    return members


def _named(path: str) -> Any:
    """Return a class of the package by its dotted name.

    By name, as entry points do it: this room is below those whose components it finds.
    """
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(f"theory_check.{module}"), name)


KINDS: Mapping[str, ModuleKind | FileKind | TableKind] = MappingProxyType(
    {
        "families": ModuleKind("problems", _function_of_the_file),
        "rewards": ModuleKind("models", _subclasses("models.base.RewardClass", "name")),
        "policies": ModuleKind("models", _subclasses("models.base.PolicyClass", "name")),
        "solvers": ModuleKind("solvers", _solvers),
        "methods": ModuleKind("solvers", _instances("solvers.method.Method")),
        "measurements": ModuleKind(
            "measurements", _subclasses("measurements.base.Measurement", "kind")
        ),
        "claims": ModuleKind("claims", _instances("claims.base.Claim")),
        "audits": ModuleKind("audits", _instances("claims.audits.Audit")),
        "conclusions": ModuleKind("conclusions", _instances("analysis.conclusions.Conclusion")),
        "worst_cases": ModuleKind("worst cases", _instances("worst_cases.base.WorstCase")),
        "problems": TableKind(lambda root: root.experiments / PROBLEMS),
        "experiments": FileKind(experiment_files),
        "comparisons": FileKind(lambda root: (root.experiments / "comparisons").glob("*.toml")),
        "figures": FileKind(lambda root: root.figures.glob("[!_]*.py")),
        "comparison_figures": FileKind(lambda root: (root.figures / "comparison").glob("[!_]*.py")),
    }
)
"""By the name of the property of a catalogue."""
