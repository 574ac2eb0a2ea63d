"""What identifies a cell: its specification, the source files that compute it, and the version."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from theory_check.runs.spec import Cell

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


def plain(value: object) -> Json:
    """Return ``value`` as JSON data; a component becomes its fields and its ``name``.

    One that says what it is ``known_as`` becomes that.

    Raises
    ------
    TypeError
        For a value that has no canonical JSON form.
    """
    known_as = getattr(value, "known_as", None)
    if isinstance(known_as, str):
        return known_as
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


def changed_sources(recorded: Mapping[str, str], cell: Cell) -> list[str]:
    """Return the source files that differ between a stored result and a cell as it would be computed.

    Parameters
    ----------
    recorded
        What the metadata of the result has as ``"sources"``.
    cell
        The cell.

    Returns
    -------
    list of str
        Names such as ``solvers/parl.py``, files that only one of the two reaches among them.
    """
    return differing(recorded, cell.sources)


def differing(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """Return the keys at which two mappings differ, in alphabetical order."""
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))


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
        "sources": cell.sources,
        "version": version_of("theory-check"),
    }
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
