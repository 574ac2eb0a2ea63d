"""Everything that can be named, from a list of roots."""

from __future__ import annotations

import importlib
import importlib.metadata
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from theory_check.catalogue.kinds import KINDS, FileKind, ModuleKind
from theory_check.catalogue.roots import ENTRY_POINTS, Root, refuse_twins
from theory_check.errors import require_choice


@dataclass(frozen=True)
class FailedImport:
    """A component file that cannot be imported, with the traceback that says why."""

    path: Path
    traceback: str

    def __str__(self) -> str:
        return f"{self.path}: {self.traceback.strip().splitlines()[-1]}"


@dataclass(frozen=True)
class Catalogue:
    """Everything that can be named, by name; components of one kind in one mapping.

    Attributes
    ----------
    roots
        Where components are looked for. Two that share a name are refused.
    given
        Components beside those of the roots: by the name of the property here, then by their own.
    """

    roots: tuple[Root, ...] = ()
    given: Mapping[str, Mapping[Any, Any]] = field(default_factory=dict)
    _found: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    _failed: dict[Path, FailedImport] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def shipped(cls) -> Catalogue:
        """Return what the package brings."""
        return cls((Root.shipped(),))

    @classmethod
    def installed(cls) -> Catalogue:
        """Return what the package and other installed distributions bring."""
        offered = importlib.metadata.entry_points(group=ENTRY_POINTS)
        names = sorted({point.value for point in offered})
        return cls((Root.shipped(), *(Root.of_package(name) for name in names)))

    @classmethod
    def of(cls, **given: Mapping[Any, Any]) -> Catalogue:
        """Return a catalogue of the given components alone, such as ``families={"line": line}``."""
        for kind in given:
            require_choice("catalogue", kind, KINDS)
        return cls(given=given)

    def with_folder(self, folder: str | Path) -> Catalogue:
        """Return this catalogue with the components of a study beside those it has."""
        root = Root.of_folder(folder)
        return self if root in self.roots else Catalogue((*self.roots, root), self.given)

    def __getstate__(self) -> dict[str, Any]:
        """Travel without what was found in the roots: it is found again where it arrives."""
        return {"roots": self.roots, "given": self.given, "_found": {}, "_failed": {}}

    @property
    def studies(self) -> tuple[Root, ...]:
        """The roots that are not the package."""
        return tuple(root for root in self.roots if not root.is_shipped)

    @property
    def families(self) -> Mapping[str, Any]:
        """Functions that build a problem from keyword arguments, each named like its file."""
        return self._components("families")

    @property
    def rewards(self) -> Mapping[str, Any]:
        """Reward classes by their ``name``."""
        return self._components("rewards")

    @property
    def policies(self) -> Mapping[str, Any]:
        """Policy classes by their ``name``."""
        return self._components("policies")

    @property
    def solvers(self) -> Mapping[str, Any]:
        """Solver classes by their ``name``: the dataclasses of the room that have one."""
        return self._components("solvers")

    @property
    def methods(self) -> Mapping[str, Any]:
        """What ``compare`` compares, by ``id``."""
        return self._components("methods")

    @property
    def measurements(self) -> Mapping[str, Any]:
        """Measurement classes by their ``kind``."""
        return self._components("measurements")

    @property
    def claims(self) -> Mapping[str, Any]:
        """Claims by ``id``, in its order: reports do not depend on which module defines one."""
        return MappingProxyType(dict(sorted(self._components("claims").items())))

    @property
    def audits(self) -> Mapping[str, Any]:
        """Audits by ``id``."""
        return self._components("audits")

    @property
    def conclusions(self) -> Mapping[str, Any]:
        """Conclusions across claims by ``id``."""
        return self._components("conclusions")

    @property
    def worst_cases(self) -> Mapping[str, Any]:
        """Quantities whose worst instance is searched, by ``id``."""
        return self._components("worst_cases")

    @property
    def experiments(self) -> Mapping[str, Path]:
        """Experiment files by stem."""
        return self._components("experiments")

    @property
    def comparisons(self) -> Mapping[str, Path]:
        """Experiment files of comparisons by stem."""
        return self._components("comparisons")

    @property
    def figures(self) -> Mapping[str, Path]:
        """Figure scripts by stem."""
        return self._components("figures")

    @property
    def comparison_figures(self) -> Mapping[str, Path]:
        """Scripts of the figures of a comparison by stem."""
        return self._components("comparison_figures")

    def claim(self, name: str) -> Any:
        """Return the claim called ``name``, or refuse with the nearest known name."""
        require_choice("claim", name, self.claims)
        return self.claims[name]

    def audit(self, name: str) -> Any:
        """Return the audit called ``name``, or refuse with the nearest known name."""
        require_choice("audit", name, self.audits)
        return self.audits[name]

    def failures(self, roots: Iterable[Root] | None = None) -> tuple[FailedImport, ...]:
        """Return the component files that cannot be imported; all of ``roots`` are tried, or of all."""
        for root in self.roots if roots is None else roots:
            for room in root.rooms:
                for _ in self._modules(root, room):
                    pass
        return tuple(self._failed[path] for path in sorted(self._failed))

    def _components(self, name: str) -> Mapping[Any, Any]:
        """Return the components of one kind, found at the first call."""
        if name not in self._found:
            found: dict[Any, tuple[Any, Path | str]] = {
                key: (value, "a given component") for key, value in self.given.get(name, {}).items()
            }
            for key, value, path in self._members(KINDS[name]):
                if key in found and found[key][0] is not value:
                    refuse_twins(name, key, found[key][1], path)
                found.setdefault(key, (value, path))
            self._found[name] = MappingProxyType({key: value for key, (value, _) in found.items()})
        known: Mapping[Any, Any] = self._found[name]
        return known

    def _members(self, kind: ModuleKind | FileKind) -> Iterator[tuple[Any, Any, Path]]:
        for root in self.roots:
            if isinstance(kind, FileKind):
                yield from ((path.stem, path, path) for path in sorted(kind.files(root)))
                continue
            for module, path in self._modules(root, kind.room):
                yield from ((name, value, path) for name, value in kind.members(module).items())

    def _modules(self, root: Root, room: str) -> Iterator[tuple[ModuleType, Path]]:
        for name, path in root.module_names(room):
            if path in self._failed:
                continue
            try:
                module = importlib.import_module(name)
            except Exception:  # of somebody else's file: whatever it raises, the rest still works
                self._failed[path] = FailedImport(path, traceback.format_exc())
            else:
                yield module, path


@lru_cache(maxsize=1)
def installed() -> Catalogue:
    """Return what everything uses that is not given a catalogue; read once per process."""
    return Catalogue.installed()
