"""What exists: problems, classes, solvers, claims, experiments and the rest, from a list of folders.

A root is a folder of rooms. The package is one; a study is another, with any of ``problems/ models/
solvers/ measurements/ claims/ experiments/ figures/``; what another distribution offers under the entry
point group ``theory_check.components`` is a third kind. A component is found by being there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from theory_check.errors import DuplicateNameError, InvalidArgumentError, require_choice

if TYPE_CHECKING:
    from theory_check.analysis.conclusions import Conclusion
    from theory_check.claims.audits.base import Audit
    from theory_check.claims.base import Claim
    from theory_check.models import PolicyClass, RewardClass
    from theory_check.oracles.instruments import Instruments
    from theory_check.runs.measurements.base import Measurement
    from theory_check.solvers.method import Method
    from theory_check.worst_cases import WorstCase

Component = TypeVar("Component")

PACKAGE = Path(__file__).resolve().parent
ENTRY_POINTS = "theory_check.components"
MARK = "study.toml"
"""The file that makes a folder a study for every command that is run inside it."""

STUDY_ROOMS = ("problems", "models", "solvers", "measurements", "claims", "experiments", "figures")
_SHIPPED_ROOMS = MappingProxyType(
    {
        "problems": ("problems",),
        "models": ("models",),
        "solvers": ("solvers",),
        "measurements": ("runs/measurements",),
        "claims": ("claims", "claims/audits", "analysis/conclusions"),
        "instruments": ("oracles",),
        "worst cases": ("worst_cases/quantities",),
    }
)


@dataclass(frozen=True)
class Root:
    """A folder of rooms.

    Attributes
    ----------
    folder
        The folder.
    package
        Dotted name under which its modules are imported.
    rooms
        Folders of modules by room, relative to ``folder``.
    experiments, figures
        Folders of experiment files and of figure scripts.
    """

    folder: Path
    package: str
    rooms: Mapping[str, tuple[str, ...]]
    experiments: Path
    figures: Path

    @classmethod
    def shipped(cls) -> Root:
        """Return the package itself, whose experiments and figures lie beside it in a checkout."""
        beside = PACKAGE.parent
        outside = beside if (beside / "experiments" / "penalty-bias.toml").is_file() else PACKAGE
        return cls(
            PACKAGE,
            "theory_check",
            _SHIPPED_ROOMS,
            outside / "experiments",
            outside / "paper_figures",
        )

    @classmethod
    def of_folder(cls, folder: str | Path) -> Root:
        """Return a study.

        Raises
        ------
        InvalidArgumentError
            For what is no folder, or holds nothing that a study may hold.
        """
        path = Path(folder).resolve()
        if not path.is_dir():
            raise InvalidArgumentError("study", repr(str(folder)), "pass a folder that exists")
        if not (path / MARK).is_file() and not any((path / room).is_dir() for room in STUDY_ROOMS):
            raise InvalidArgumentError(
                "study",
                f"{str(folder)!r}, which holds no {MARK}",
                f"pass a folder with {MARK} or any of {', '.join(f'{r}/' for r in STUDY_ROOMS)}",
            )
        digest = hashlib.sha256(str(path).encode()).hexdigest()[:12]
        rooms = {room: (room,) for room in STUDY_ROOMS[:5]}
        return cls(path, f"_study_{digest}", rooms, path / "experiments", path / "figures")

    @classmethod
    def of_package(cls, name: str) -> Root:
        """Return the folder of an installed package that offers components.

        Raises
        ------
        InvalidArgumentError
            If there is no such package.
        """
        found = importlib.util.find_spec(name)
        if found is None or not found.submodule_search_locations:
            raise InvalidArgumentError(
                ENTRY_POINTS, repr(name), "name a package with the rooms of a study"
            )
        path = Path(next(iter(found.submodule_search_locations))).resolve()
        rooms = {room: (room,) for room in STUDY_ROOMS[:5]}
        return cls(path, name, rooms, path / "experiments", path / "figures")

    @property
    def is_shipped(self) -> bool:
        """Whether this is the package's own."""
        return self.folder == PACKAGE

    def module_names(self, room: str) -> Iterator[tuple[str, Path]]:
        """Yield dotted names and files of the modules in a room, in alphabetical order."""
        self._make_importable()
        for relative in self.rooms.get(room, ()):
            for path in sorted((self.folder / relative).glob("*.py")):
                if path.stem != "__init__":
                    parts = (self.package, *Path(relative).parts, path.stem)
                    yield ".".join(parts), path

    def _make_importable(self) -> None:
        """Enter the package of a study, whose folder is nowhere on the path of imports."""
        if self.package.startswith("_study_") and self.package not in sys.modules:
            package = ModuleType(self.package, f"The study in {self.folder}.")
            package.__path__ = [str(self.folder)]
            sys.modules[self.package] = package


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
    """

    roots: tuple[Root, ...]
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

    def with_folder(self, folder: str | Path) -> Catalogue:
        """Return this catalogue with the components of a study beside those it has."""
        root = Root.of_folder(folder)
        return self if root in self.roots else Catalogue((*self.roots, root))

    def __getstate__(self) -> dict[str, Any]:
        """Travel as the roots alone: what is in them is found again where it arrives."""
        return {"roots": self.roots, "_found": {}, "_failed": {}}

    @property
    def families(self) -> Mapping[str, Callable[..., Any]]:
        """Functions that build a problem from keyword arguments, each named like its file."""
        return self._kind("problems", "families", _function_of_the_file)

    @property
    def rewards(self) -> Mapping[str, type[RewardClass]]:
        """Reward classes by their ``name``."""
        from theory_check.models.base import RewardClass

        return self._kind("models", "rewards", _subclasses(RewardClass, "name"))

    @property
    def policies(self) -> Mapping[str, type[PolicyClass]]:
        """Policy classes by their ``name``."""
        from theory_check.models.base import PolicyClass

        return self._kind("models", "policies", _subclasses(PolicyClass, "name"))

    @property
    def solvers(self) -> Mapping[str, type[Any]]:
        """Solver classes by their ``name``: the dataclasses of the room that have one."""
        return self._kind("solvers", "solvers", _solver_classes)

    @property
    def methods(self) -> Mapping[str, Method]:
        """What ``compare`` compares, by ``id``."""
        from theory_check.solvers.method import Method

        return self._kind("solvers", "methods", _instances(Method))

    @property
    def measurements(self) -> Mapping[str, type[Measurement]]:
        """Measurement classes by their ``kind``."""
        from theory_check.runs.measurements.base import Measurement

        return self._kind("measurements", "measurements", _subclasses(Measurement, "kind"))

    @property
    def claims(self) -> Mapping[str, Claim]:
        """Claims by ``id``."""
        from theory_check.claims.base import Claim

        return self._kind("claims", "claims", _instances(Claim))

    @property
    def audits(self) -> Mapping[str, Audit]:
        """Audits by ``id``."""
        from theory_check.claims.audits.base import Audit

        return self._kind("claims", "audits", _instances(Audit))

    @property
    def conclusions(self) -> Mapping[str, Conclusion]:
        """Conclusions across claims by ``id``."""
        from theory_check.analysis.conclusions.base import Conclusion

        return self._kind("claims", "conclusions", _instances(Conclusion))

    @property
    def instruments(self) -> Mapping[type, type[Instruments]]:
        """Instruments by the class of problems that they are for."""
        from theory_check.oracles.instruments import Instruments

        return self._kind("instruments", "instruments", _subclasses(Instruments, "problem_type"))

    @property
    def worst_cases(self) -> Mapping[str, WorstCase]:
        """Quantities whose worst instance is searched, by ``id``."""
        from theory_check.worst_cases.base import WorstCase

        return self._kind("worst cases", "worst cases", _instances(WorstCase))

    @property
    def experiments(self) -> Mapping[str, Path]:
        """Experiment files by stem."""
        return self._files("experiments", lambda root: root.experiments.glob("*.toml"))

    @property
    def comparisons(self) -> Mapping[str, Path]:
        """Experiment files of comparisons by stem."""
        return self._files(
            "comparisons", lambda root: (root.experiments / "comparisons").glob("*.toml")
        )

    @property
    def figures(self) -> Mapping[str, Path]:
        """Figure scripts by stem."""
        return self._files("figures", lambda root: root.figures.glob("[!_]*.py"))

    @property
    def comparison_figures(self) -> Mapping[str, Path]:
        """Scripts of the figures of a comparison by stem."""
        return self._files(
            "comparison figures", lambda root: (root.figures / "comparison").glob("[!_]*.py")
        )

    def claim(self, name: str) -> Claim:
        """Return the claim called ``name``, or refuse with the nearest known name."""
        require_choice("claim", name, self.claims)
        return self.claims[name]

    def audit(self, name: str) -> Audit:
        """Return the audit called ``name``, or refuse with the nearest known name."""
        require_choice("audit", name, self.audits)
        return self.audits[name]

    def failures(self) -> tuple[FailedImport, ...]:
        """Return the component files that cannot be imported; all are tried."""
        for root in self.roots:
            for room in root.rooms:
                for _ in self._modules(root, room):
                    pass
        return tuple(self._failed[path] for path in sorted(self._failed))

    def root_of(self, path: Path) -> Root | None:
        """Return the root whose experiments or figures a file is among; None for a file elsewhere."""
        found = path.resolve()
        for root in self.roots:
            folders = (root.experiments.resolve(), root.figures.resolve())
            if any(found.is_relative_to(folder) for folder in folders):
                return root
        return None

    def _kind(
        self, room: str, kind: str, members: Callable[[ModuleType], Mapping[Any, Any]]
    ) -> Mapping[Any, Any]:
        if kind not in self._found:
            found: dict[Any, tuple[Any, Path]] = {}
            for root in self.roots:
                for module, path in self._modules(root, room):
                    for name, value in members(module).items():
                        if name in found and found[name][0] is not value:
                            _refuse_twins(kind, name, found[name][1], path)
                        found.setdefault(name, (value, path))
            self._found[kind] = MappingProxyType(
                {name: value for name, (value, _) in found.items()}
            )
        known: Mapping[Any, Any] = self._found[kind]
        return known

    def _files(self, kind: str, members: Callable[[Root], Iterator[Path]]) -> Mapping[str, Path]:
        if kind not in self._found:
            found: dict[str, Path] = {}
            for root in self.roots:
                for path in sorted(members(root)):
                    if path.stem in found:
                        _refuse_twins(kind, path.stem, found[path.stem], path)
                    found[path.stem] = path
            self._found[kind] = MappingProxyType(found)
        known: Mapping[str, Path] = self._found[kind]
        return known

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


def study_of(folder: str | Path = ".") -> Path | None:
    """Return ``folder`` or the nearest folder above it that is marked as a study."""
    path = Path(folder).resolve()
    return next((each for each in (path, *path.parents) if (each / MARK).is_file()), None)


def _refuse_twins(kind: str, name: object, first: Path, second: Path) -> None:
    raise DuplicateNameError(
        f"{kind}: {first} and {second} both define {name!r}; give one of them another name"
    )


def _function_of_the_file(module: ModuleType) -> Mapping[str, Callable[..., Any]]:
    name = module.__name__.rpartition(".")[2]
    function = getattr(module, name, None)
    return {name: function} if callable(function) else {}


def _own_classes(module: ModuleType) -> Iterator[type]:
    for value in vars(module).values():
        if isinstance(value, type) and value.__module__ == module.__name__:
            yield value


def _subclasses(base: type, key: str) -> Callable[[ModuleType], Mapping[Any, type]]:
    def members(module: ModuleType) -> Mapping[Any, type]:
        return {
            getattr(found, key): found
            for found in _own_classes(module)
            if issubclass(found, base) and found is not base and hasattr(found, key)
        }

    return members


def _solver_classes(module: ModuleType) -> Mapping[str, type]:
    return {
        found.name: found  # type: ignore[attr-defined]
        for found in _own_classes(module)
        if hasattr(found, "name") and dataclasses.is_dataclass(found)
    }


def _instances(kind: type) -> Callable[[ModuleType], Mapping[str, Any]]:
    def members(module: ModuleType) -> Mapping[str, Any]:
        return {value.id: value for value in vars(module).values() if isinstance(value, kind)}  # type: ignore[attr-defined]

    return members
