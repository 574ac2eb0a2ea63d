"""The files that some modules can reach by importing, among those that belong to given packages.

Nothing is imported for it. Imports inside functions count; of a package, who imports a name that its
``__init__`` passes on reaches the module that the name comes from, and nothing else that is passed on.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from theory_check.runs.source_files import DIGITS, Import, SourceFile, read_source


@dataclass(frozen=True)
class Reached:
    """A file that is reached, what is in it, and the digest of what of it is reached."""

    path: str
    source: SourceFile
    digest: str


@dataclass(frozen=True)
class _Place:
    """A module: ``file`` is "" for a package without an ``__init__``."""

    file: str
    is_package: bool
    source: SourceFile


class Closure:
    """Collects what is reached from modules.

    Parameters
    ----------
    roots
        Folder of a package, or file of a module, by the first part of its dotted name; file of a module
        that lies elsewhere than its package, by all of it. What belongs to none of them is somebody
        else's, identified by its version.
    beside
        Folders whose modules belong as well, since they lie beside a script.
    """

    def __init__(self, roots: Mapping[str, Path], beside: Iterable[Path] = ()) -> None:
        self._roots = dict(roots)
        self._beside = tuple(beside)
        self._places: dict[str, _Place | None] = {}
        self._modules: dict[str, _Place] = {}
        self._own: dict[str, _Place] = {}
        self._passed_on: dict[str, set[Import]] = {}
        self._whole: set[str] = set()
        self._names: set[tuple[str, str]] = set()
        self._inside: set[str] = set()

    def add(self, modules: Iterable[str]) -> None:
        """Add modules, by their dotted names, and all that they reach."""
        for module in modules:
            self._add_whole(module)

    def modules(self) -> set[str]:
        """Return the dotted names of what is reached so far."""
        return {*self._modules, *self._own}

    def files(self) -> dict[str, Reached]:
        """Return what is reached, by dotted names in alphabetical order."""
        found = {
            module: Reached(place.file, place.source, place.source.digest)
            for module, place in self._modules.items()
        }
        for package in {*self._own, *self._passed_on}:
            place = self._place(package)
            if place is not None:
                names = sorted(map(repr, self._passed_on.get(package, ())))
                text = "\n".join((place.source.own_digest if package in self._own else "", *names))
                digest = hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
                found[package] = Reached(place.file, place.source, digest)
        return dict(sorted(found.items()))

    def _add_whole(self, module: str) -> None:
        """Add a module; of a package everything that it defines and passes on."""
        if module in self._whole:
            return
        self._whole.add(module)
        place = self._place(module)
        if place is None or not place.file:
            return
        if place.is_package:
            self._add_own(module, place)
            for imports in place.source.passed_on.values():
                self._pass_on(module, place, imports)
        else:
            self._modules[module] = place
            self._add_packages_of(module)
            self._follow(module, place, place.source.imports)

    def _add_name(self, module: str, name: str) -> None:
        """Add what ``from module import name`` reaches."""
        if (module, name) in self._names:
            return
        self._names.add((module, name))
        place = self._place(module)
        if place is None:
            return
        if not place.is_package or name == "*":
            self._add_whole(module)
            return
        passed_on = place.source.passed_on.get(name, ())
        self._pass_on(module, place, passed_on)
        if name in place.source.defined:
            self._add_own(module, place)
        elif passed_on:
            self._add_packages_of(f"{module}.{name}")
        elif self._place(f"{module}.{name}") is not None:
            self._add_whole(f"{module}.{name}")
        else:
            # Made when the package is imported, from whatever is in it.
            self._add_whole(module)

    def _add_own(self, package: str, place: _Place) -> None:
        if package not in self._own:
            self._own[package] = place
            self._add_packages_of(package)
            self._follow(package, place, place.source.own_imports)

    def _add_packages_of(self, module: str) -> None:
        """Add the packages around a module that do something when they are imported."""
        package = module.rpartition(".")[0]
        while package and package not in self._inside:
            self._inside.add(package)
            place = self._place(package)
            if place is not None and place.source.acts:
                self._add_own(package, place)
            package = package.rpartition(".")[0]

    def _pass_on(self, package: str, place: _Place, imports: Iterable[Import]) -> None:
        for each in imports:
            self._passed_on.setdefault(package, set()).add(each)
            self._follow(package, place, (each,))

    def _follow(self, module: str, place: _Place, imports: Iterable[Import]) -> None:
        for each in imports:
            target = each.module
            if each.level:
                parts = module.split(".")
                kept = len(parts) - each.level + place.is_package
                if kept < 1:
                    continue
                target = ".".join([*parts[:kept], *filter(None, [each.module])])
            if each.name is None:
                self._add_whole(target)
            else:
                self._add_name(target, each.name)

    def _place(self, module: str) -> _Place | None:
        if module not in self._places:
            self._places[module] = self._find(module)
        return self._places[module]

    def _find(self, module: str) -> _Place | None:
        top, _, inside = module.partition(".")
        if module in self._roots:
            top, inside = module, ""
        known = [str(self._roots[top])] if top in self._roots else []
        for base in known or [os.path.join(folder, top) for folder in self._beside]:
            found = _located(base, inside)
            if found is not None:
                file, is_package = found
                return _Place(file, is_package, read_source(file) if file else _NOTHING)
        return None


_NOTHING = SourceFile("", ())
_LOCATED: dict[tuple[str, str], tuple[str, bool]] = {}


def _located(base: str, inside: str) -> tuple[str, bool] | None:
    """Return the file of a module in a folder, and whether it is a package's."""
    # Kept, since what was imported stays where it was; what is missing is looked for again.
    known = _LOCATED.get((base, inside))
    if known is not None and (not known[0] or os.path.exists(known[0])):
        return known
    place = os.path.join(base, *inside.split(".")) if inside else base
    init, file = os.path.join(place, "__init__.py"), f"{place}.py"
    if os.path.isfile(init):
        found = init, True
    elif os.path.isfile(file):
        found = file, False
    elif os.path.isfile(place) and not inside:
        found = place, False
    elif os.path.isdir(place):
        found = "", True
    else:
        return None
    _LOCATED[base, inside] = found
    return found
