"""Folders in which components are looked for: the package, studies, other distributions."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from theory_check.errors import (
    DuplicateNameError,
    InvalidArgumentError,
    StoreError,
    one_line,
    shortened,
)

PACKAGE = Path(__file__).resolve().parent.parent
ENTRY_POINTS = "theory_check.components"
MARK = "study.toml"
"""The file that makes a folder a study for every command that is run inside it."""

STUDY = "_study_"
"""What the names of the packages of studies begin with."""

TEMPLATE = "study_template"
"""The study that a new one is a copy of, beside ``experiments/``."""

GENERATED = ("__pycache__", "results")
STUDY_ROOMS = ("problems", "models", "solvers", "measurements", "claims", "experiments", "figures")
_SHIPPED_ROOMS: Mapping[str, tuple[str, ...]] = {
    "problems": ("problems",),
    "models": ("models",),
    "solvers": ("solvers",),
    "measurements": ("measurements",),
    "claims": ("claims",),
    "audits": ("claims",),
    "conclusions": ("analysis",),
    "worst cases": ("worst_cases/quantities",),
}
_STUDY_ROOMS: Mapping[str, tuple[str, ...]] = {
    **{room: (room,) for room in STUDY_ROOMS[:5]},
    "audits": ("claims",),
    "conclusions": ("claims",),
    "worst cases": ("claims",),
}


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
        """Return the package itself."""
        folders = home() / "experiments", home() / "paper_figures"
        return cls(PACKAGE, "theory_check", _SHIPPED_ROOMS, *folders)

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
            raise InvalidArgumentError("study", shortened(str(folder)), "pass a folder that exists")
        if not (path / MARK).is_file() and not any((path / room).is_dir() for room in STUDY_ROOMS):
            raise InvalidArgumentError(
                "study",
                f"{shortened(str(folder))}, which holds no {MARK}",
                f"pass a folder with {MARK} or any of {', '.join(f'{r}/' for r in STUDY_ROOMS)}",
            )
        return cls(
            path, f"{STUDY}{_digest_of(path)}", _STUDY_ROOMS, path / "experiments", path / "figures"
        )

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
        return cls(path, name, _STUDY_ROOMS, path / "experiments", path / "figures")

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Arrive in another process, where what follows may be of this root's modules."""
        self.__dict__.update(state)
        self.make_importable()

    @property
    def is_shipped(self) -> bool:
        """Whether this is the package's own."""
        return self.package == "theory_check"

    def module_names(self, room: str) -> Iterator[tuple[str, Path]]:
        """Yield dotted names and files of the modules in a room, in alphabetical order."""
        self.make_importable()
        for relative in self.rooms.get(room, ()):
            for path in sorted((self.folder / relative).glob("*.py")):
                if path.stem != "__init__":
                    parts = (self.package, *Path(relative).parts, path.stem)
                    yield ".".join(parts), path

    def make_importable(self) -> None:
        """Enter the package of a study, whose folder is nowhere on the path of imports."""
        if not self.package.startswith(STUDY):
            return
        if self.package not in sys.modules:
            package = ModuleType(self.package, f"The study in {self.folder}.")
            package.__path__ = [str(self.folder)]
            sys.modules[self.package] = package
        if not any(isinstance(each, _StudyFinder) for each in sys.meta_path):
            sys.meta_path.insert(0, _StudyFinder())


IMPORTED: dict[str, str] = {}
"""By the name of a study's module, the digest of the text that was imported under it."""


class _StudyFinder(MetaPathFinder):
    """Finds the modules of studies, and keeps what their text was: files may change later."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to import a module of a study; None for all others."""
        if not fullname.startswith(STUDY):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _StudyLoader(spec.loader.name, spec.loader.path)
        return spec


class _StudyLoader(SourceFileLoader):
    """Compiles what is in the file now, which a compiled copy need not be."""

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the file, and note the digest of its text."""
        text = self.get_data(self.path)
        IMPORTED[fullname] = hashlib.sha256(text).hexdigest()
        code: CodeType = self.source_to_code(text, self.path)
        return code


def _digest_of(study: Path) -> str:
    """Return the digest of where a study is and of the modules in it, for the name of its package.

    A study that was edited is another package, so that who looks at it again imports it again.
    """
    digest = hashlib.sha256(str(study).encode())
    rooms = (study / room for room in STUDY_ROOMS)
    files = {*study.glob("*.py"), *(path for room in rooms for path in room.rglob("*.py"))}
    for path in sorted(files):
        with suppress(OSError):
            digest.update(f"{path.relative_to(study).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def study_of(folder: str | Path = ".") -> Path | None:
    """Return ``folder`` or the nearest folder above it that is marked as a study."""
    path = Path(folder).resolve()
    return next((each for each in (path, *path.parents) if (each / MARK).is_file()), None)


def refuse_twins(kind: str, name: object, first: Path | str, second: Path) -> None:
    """Refuse two components of one name, and say where both are."""
    raise DuplicateNameError(
        f"{kind}: {first} and {second} both define {name!r}; give one of them another name"
    )


def home() -> Path:
    """Return the folder whose ``experiments/`` and ``paper_figures/`` are the package's own.

    A wheel has them inside the package, a checkout beside it.
    """
    return PACKAGE if (PACKAGE / "experiments").is_dir() else PACKAGE.parent


def write_study(folder: Path) -> None:
    """Write a small study that works into a new or an empty folder.

    Raises
    ------
    InvalidArgumentError
        For a folder that holds anything, or what is no folder.
    StoreError
        Where it cannot be written.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            kind = "which is not empty" if folder.is_dir() else "which is no folder"
            raise InvalidArgumentError(
                "DIR", f"{shortened(str(folder))}, {kind}", "pass a new folder, or an empty one"
            )
        ignored = shutil.ignore_patterns(*GENERATED)
        shutil.copytree(home() / TEMPLATE, folder, ignore=ignored, dirs_exist_ok=True)
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise StoreError(f"cannot write a study to {folder}: {reason}") from error
