"""What identifies a cell: its specification, the source that computes it, and the version."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from theory_check.runs.spec import Cell

PACKAGE = Path(__file__).resolve().parent.parent

WITHOUT_NUMBERS = (
    "__init__.py",
    "analysis",
    "catalogue",
    "claims",
    "cli",
    "discovery.py",
    "errors.py",
    "plotting",
    "runs/__init__.py",
    "runs/backends",
    "runs/build.py",
    "runs/comparisons.py",
    "runs/execute.py",
    "runs/experiment_text.py",
    "runs/identity.py",
    "runs/instances.py",
    "runs/leases.py",
    "runs/leftovers.py",
    "runs/locations.py",
    "runs/problem_table.py",
    "runs/processes.py",
    "runs/progress.py",
    "runs/spec.py",
    "runs/store.py",
    "runs/tables.py",
    "verification.py",
    "worst_cases",
)
"""What cannot change the numbers of a cell. All other source can, so a new file does."""

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


def plain(value: object) -> Json:
    """Return ``value`` as JSON data; a component becomes its fields and its ``name``.

    Raises
    ------
    TypeError
        For a value that has no canonical JSON form.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            field.name: plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.init
        }
        name = getattr(type(value), "name", None)
        return {"name": name, **fields} if isinstance(name, str) else fields
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, Sequence):
        return [plain(entry) for entry in value]
    raise TypeError(f"{type(value).__name__} has no canonical JSON form; use numbers and text")


def specification(cell: Cell) -> dict[str, Json]:
    """Return everything that decides a cell's numbers, defaults included."""
    return {
        "measurement": cell.measurement.kind,
        "settings": plain(cell.measurement),
        "family": cell.family,
        "parameters": plain(cell.parameters),
        "seeds": cell.seeds,
        "first_seed": cell.first_seed,
        **_library_of(cell),
    }


def _library_of(cell: Cell) -> dict[str, Json]:
    """Return the version of the library that a family reads its problems from, where it does."""
    function = getattr(cell.build_problem, "family", cell.build_problem)
    library = getattr(sys.modules.get(function.__module__), "LIBRARY", None)
    return {} if library is None else {"library": f"{library} {version_of(library)}"}


def numerical_sources(package: Path = PACKAGE) -> list[Path]:
    """Return the source files under ``package`` that can change the numbers of a cell."""
    excluded = {package / name for name in WITHOUT_NUMBERS}
    return [
        path for path in sorted(package.rglob("*.py")) if excluded.isdisjoint((path, *path.parents))
    ]


@lru_cache
def source_fingerprint(package: Path = PACKAGE) -> str:
    """Return the SHA-256 of :func:`numerical_sources`, names and contents."""
    digest = hashlib.sha256()
    for path in numerical_sources(package):
        source = path.read_bytes()
        # Lengths keep the boundary between two files from being moved unnoticed.
        header = f"{path.relative_to(package).as_posix()}\0{len(source)}\0"
        digest.update(header.encode() + source)
    return digest.hexdigest()


@lru_cache
def version_of(distribution: str) -> str:
    """Return the installed version of ``distribution``."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def cell_key(cell: Cell) -> str:
    """Return the name under which the result of ``cell`` is stored: 64 hexadecimal digits."""
    identity = {
        "cell": specification(cell),
        "source": source_fingerprint(),
        "version": version_of("theory-check"),
    }
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
