"""What identifies a cell: its specification, the source files that compute it, and the version."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Protocol, TypeAlias

from theory_check.catalogue import IMPORTED, PACKAGE, STUDY
from theory_check.errors import InvalidArgumentError
from theory_check.runs.closure import Closure, Reached
from theory_check.runs.source_files import read_source

if TYPE_CHECKING:
    from theory_check.measurements.base import Measurement
    from theory_check.problems.spec import ProblemSpec


Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


class Identified(Protocol):
    """What of a cell decides its numbers."""

    @property
    def measurement(self) -> Measurement:
        """The measurement, with its settings."""
        ...

    @property
    def problem(self) -> ProblemSpec:
        """What builds the problem."""
        ...

    @property
    def seeds(self) -> int:
        """Number of replicates."""
        ...

    @property
    def first_seed(self) -> int:
        """Where the seeds begin."""
        ...

    @property
    def sources(self) -> dict[str, str]:
        """Digests of the source files that compute it."""
        ...


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


def specification(cell: Identified) -> dict[str, Json]:
    """Return everything that decides a cell's numbers, defaults included."""
    return {
        "measurement": cell.measurement.kind,
        "settings": plain(cell.measurement),
        "family": cell.problem.family,
        "parameters": plain(cell.problem.parameters),
        "seeds": cell.seeds,
        "first_seed": cell.first_seed,
        **_library_of(cell),
    }


def _library_of(cell: Identified) -> dict[str, Json]:
    """Return the version of the library that a family reads its problems from, where it does."""
    library = cell.problem.library
    return {} if library is None else {"library": f"{library} {version_of(library)}"}


def moved_sources(cell: Identified) -> list[str]:
    """Return the source files of a cell that are no longer what its key says; none where all are."""
    try:
        return differing(sources_of(cell), cell.sources)
    except (InvalidArgumentError, OSError) as error:
        return [str(error)]


def changed_sources(recorded: Mapping[str, str], cell: Identified) -> list[str]:
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


def cell_key(cell: Identified) -> str:
    """Return the name under which the result of ``cell`` is stored: 64 hexadecimal digits."""
    identity = {
        "cell": specification(cell),
        "sources": cell.sources,
        "version": version_of("theory-check"),
    }
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


MEASURED_BY = "theory_check.runs.backends.measuring"
"""Calls the measurement of every cell, with the number of threads that sums depend on."""

INSTRUMENTS = "theory_check.oracles.instruments"
"""Takes the instruments for a problem that the class of the problem names."""


def sources_of(
    cell: Identified, package: Path = PACKAGE, without: Collection[str] = ()
) -> dict[str, str]:
    """Return the digests of the source files that compute a cell, by names such as ``solvers/parl.py``.

    Parameters
    ----------
    cell
        The cell.
    package
        Folder of this package's source.
    without
        Modules, or packages, whose components do not count.

    Returns
    -------
    dict
        Files of this package go by their place in it, those of a study by ``study/`` and their place in
        the study, those of another package by its name and their place.
    """
    problem = _modules_of(cell.problem)
    measurement = _modules_of(cell.measurement)
    roots = {"theory_check": PACKAGE}
    beside: list[Path] = []
    for module in sorted(problem | measurement):
        _add_root(module, roots, beside)
    roots["theory_check"] = package
    starts = _counted(problem, without), _counted(measurement, without)
    question = (*starts, tuple(roots.items()), tuple(beside))
    known = _KNOWN.get(question)
    if known is None or not known.holds():
        files = _files(*starts, Closure(roots, beside))
        known = _KNOWN[question] = _Known(_by_name(files, roots), files)
    known.require_as_imported()
    return dict(known.sources)


@dataclasses.dataclass(frozen=True)
class _Known:
    """An answer, and the files that it holds for."""

    sources: dict[str, str]
    files: Mapping[str, Reached]

    def holds(self) -> bool:
        # A file that did not change is the same object.
        try:
            return all(read_source(each.path) is each.source for each in self.files.values())
        except OSError:
            return False

    def require_as_imported(self) -> None:
        """Refuse files of a study that are no longer what this process imported."""
        for module in self.files.keys() & IMPORTED.keys():
            each = self.files[module]
            if IMPORTED[module] != hashlib.sha256(Path(each.path).read_bytes()).hexdigest():
                raise InvalidArgumentError(
                    "study",
                    f"{each.path}, which changed since it was imported",
                    "give the same command again, or make the catalogue anew: what was imported is not "
                    "what the file says now",
                )


_KNOWN: dict[tuple[object, ...], _Known] = {}


def _files(
    problem: Sequence[str], measurement: Sequence[str], closure: Closure
) -> dict[str, Reached]:
    closure.add(problem)
    kinds = _instruments(closure.modules())
    closure.add([*measurement, MEASURED_BY])
    if INSTRUMENTS in closure.modules():
        # The class of a problem that is made in the measurement is among what that reaches.
        closure.add(sorted((kinds or _instruments(closure.modules())).values()))
    return closure.files()


def _counted(modules: set[str], without: Collection[str]) -> tuple[str, ...]:
    return tuple(
        module
        for module in sorted(modules)
        if not any(module == each or module.startswith(f"{each}.") for each in without)
    )


def _instruments(modules: Iterable[str]) -> dict[str, str]:
    """Return the modules of the instruments that classes in some modules name, by those modules."""
    found = {}
    for module in modules:
        for value in vars(sys.modules.get(module, object)).values():
            named = vars(value).get("instruments") if isinstance(value, type) else None
            if isinstance(named, str) and value.__module__ == module:
                found[module] = named.rpartition(".")[0]
    return found


def _modules_of(value: object) -> set[str]:
    """Return the modules that define the components in a value."""
    if value is None or isinstance(value, int | float | str | bytes):
        return set()
    if isinstance(value, type | FunctionType):
        return {value.__module__}
    found = set()
    inner: Iterable[object] = ()
    if isinstance(value, partial):
        inner = (value.func, value.args, value.keywords)
    elif isinstance(value, Mapping):
        inner = value.values()
    elif isinstance(value, Sequence):
        inner = value
    elif dataclasses.is_dataclass(value) or callable(value):
        if hasattr(value, "known_as"):
            found |= _definers(value)
        found.add(type(value).__module__)
        inner = getattr(value, "__dict__", {}).values()
    return found.union(*map(_modules_of, inner))


_DEFINERS: dict[int, tuple[object, set[str]]] = {}


def _definers(component: object) -> set[str]:
    """Return the modules that assign a component to a name at their top level, not import it."""
    # By identity, which belongs to the component as long as it is kept here as well.
    if id(component) not in _DEFINERS:
        found = {
            name
            for name, module in list(sys.modules.items())
            for key, value in list(getattr(module, "__dict__", {}).items())
            if value is component and not _is_imported(module, key)
        }
        _DEFINERS[id(component)] = component, found
    return _DEFINERS[id(component)][1]


def _is_imported(module: ModuleType, name: str) -> bool:
    file = getattr(module, "__file__", None)
    return file is None or name in read_source(file).passed_on


def _add_root(module: str, roots: dict[str, Path], beside: list[Path]) -> None:
    """Add where the package of a loaded module is, or the module itself with what lies beside it."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return
    top, *inside = module.split(".")
    path = Path(file).resolve()
    if path.name == "__init__.py":
        path = path.parent
    if top not in roots:
        folder = roots[top] = path.parents[len(inside) - 1] if inside else path
        # A study, or a script, can import what lies beside it; among installed packages all would.
        if top.startswith(STUDY):
            beside.append(folder)
        elif not inside and path.parent.name not in ("site-packages", "dist-packages"):
            beside.append(path.parent)
    elif inside and not path.is_relative_to(roots[top]):
        roots[module] = Path(file)


def _by_name(files: Mapping[str, Reached], roots: Mapping[str, Path]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for module, reached in files.items():
        top = module.partition(".")[0]
        root = roots.get(top)
        if root is None or root.is_file() or module in roots.keys() - {top}:
            name = f"{module.replace('.', '/')}.py"
        else:
            place = os.path.relpath(reached.path, root).replace(os.sep, "/")
            label = "study" if top.startswith(STUDY) else top
            name = place if top == "theory_check" else f"{label}/{place}"
        found.setdefault(name, []).append(reached.digest)
    # Files of two studies can share a name.
    return {name: " ".join(sorted(digests)) for name, digests in sorted(found.items())}
