"""Everything that can be named, from a list of roots."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from theory_check.catalogue.kinds import KINDS, FileKind, ModuleKind, TableKind
from theory_check.catalogue.roots import ENTRY_POINTS, Root, home, refuse_twins
from theory_check.errors import InvalidArgumentError, require_choice, shortened
from theory_check.files import as_path


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
        """Return this catalogue with the components of a study beside those it has.

        One that has the study as it was before an edit has it as it is now instead.
        """
        root = Root.of_folder(folder)
        others = tuple(each for each in self.roots if each.folder != root.folder)
        return self if root in self.roots else Catalogue((*others, root), self.given)

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
    def problems(self) -> Mapping[str, Any]:
        """Tables of problems by name: what ``problems.toml`` beside the experiments states."""
        return self._components("problems")

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

    def require_problems(self) -> None:
        """Refuse a file of problems that cannot be read, whether or not somebody names one of them.

        Raises
        ------
        InvalidArgumentError
            Naming the file and what is wrong with it.
        """
        self._components("problems")

    def failures(self, roots: Iterable[Root] | None = None) -> tuple[FailedImport, ...]:
        """Return the component files that cannot be imported; all of ``roots`` are tried, or of all."""
        for root in self.roots if roots is None else roots:
            for room in root.rooms:
                for _ in self._modules(root, room):
                    pass
        return tuple(self._failed[path] for path in sorted(self._failed))

    def modules(self, room: str) -> Iterator[tuple[ModuleType, Path]]:
        """Yield the modules of a room of all roots that can be imported, each with its file."""
        for root in self.roots:
            yield from self._modules(root, room)

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

    def _members(self, kind: ModuleKind | FileKind | TableKind) -> Iterator[tuple[Any, Any, Path]]:
        for root in self.roots:
            if isinstance(kind, TableKind):
                tables = kind.tables(root)
                yield from ((name, table, kind.file(root)) for name, table in tables.items())
                continue
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
            # Of somebody else's file: whatever it raises, the rest still works.
            except (Exception, SystemExit):
                self._failed[path] = FailedImport(path, traceback.format_exc())
            else:
                yield module, path


@lru_cache(maxsize=1)
def installed() -> Catalogue:
    """Return what everything uses that is not given a catalogue; read once per process."""
    return Catalogue.installed()


def experiment_file(name: str | Path, catalogue: Catalogue) -> Path:
    """Return the file that ``name`` stands for: a path, or the stem of a file that a catalogue has.

    Raises
    ------
    InvalidArgumentError
        For a name that the catalogue does not have, with the nearest that it has.
    """
    path = as_path("experiment", name, "pass the path of a TOML file, or the name of an experiment")
    # That of os.path does not raise where a name is too long for a file.
    if path.suffix == ".toml" or os.path.isfile(path):
        return path
    files = catalogue.experiments
    if str(name) not in files and (path.suffix or len(path.parts) > 1):
        raise InvalidArgumentError(
            "experiment",
            shortened(str(name)),
            "no such file: pass one, or the name of an experiment",
        )
    here = Path("experiments") / f"{name}.toml"
    if str(name) not in files and os.path.isfile(here):
        raise InvalidArgumentError(
            "experiment",
            repr(str(name)),
            f"pass the path {here.as_posix()}, or make this folder a study: put a file study.toml here",
        )
    require_choice("experiment", str(name), files)
    return files[str(name)]


def is_shipped(path: Path) -> bool:
    """Return whether a file or folder is the package's own, also where its checkout is worked in."""
    found = path.resolve()
    return any(
        found.is_relative_to((home() / folder).resolve())
        for folder in ("experiments", "paper_figures")
    )


def provenance(catalogue: Catalogue) -> str:
    """Return one sentence: whose experiments and figures a catalogue has."""
    studies = [root.folder.as_posix() for root in catalogue.studies]
    whose = "those of theory-check" + "".join(f", and those of {folder}" for folder in studies)
    return f"Experiments: {whose}."


def stated_path(path: Path) -> str:
    """Return a path as reports show it: that of a shipped file from :func:`home` on."""
    if is_shipped(path):
        path = path.resolve().relative_to(home().resolve())
    return path.as_posix()
