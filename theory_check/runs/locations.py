"""Where the experiment files and the figure scripts are, and whose they are."""

from __future__ import annotations

import os
from pathlib import Path

from theory_check.catalogue import MARK, Catalogue, home, refuse_twins
from theory_check.errors import (
    InvalidArgumentError,
    require_choice,
    shortened,
)
from theory_check.files import as_path


def directory(name: str) -> Path:
    """Return ``name`` under the current directory, else that of the package.

    In a study the package's is meant: the study's own is beside it.

    Raises
    ------
    InvalidArgumentError
        When neither has such a directory.
    """
    for parent in (home(),) if Path(MARK).is_file() else (Path(), home()):
        if (parent / name).is_dir():
            return parent / name
    raise InvalidArgumentError(
        f"{name}/",
        f"no such directory in {Path.cwd()}",
        f"install theory-check again, which brings it, or run from a directory that holds {name}/",
    )


def is_shipped(path: Path) -> bool:
    """Return whether a file or folder is the package's own, also where its checkout is worked in."""
    found = path.resolve()
    return any(
        found.is_relative_to((home() / folder).resolve())
        for folder in ("experiments", "paper_figures")
    )


def provenance(name: str) -> str:
    """Return one sentence: whether the files of the folder ``name`` are the package's or one's own.

    Own files that have the name of a shipped one and another content are named.
    """
    own, title = directory(name), name.replace("_", " ").capitalize()
    if is_shipped(own):
        return f"{title}: those of theory-check."
    differing = [
        path.stem
        for path in sorted(own.iterdir())
        if path.is_file()
        and (home() / name / path.name).is_file()
        and path.read_bytes() != (home() / name / path.name).read_bytes()
    ]
    changed = f"; not as shipped under the same name: {', '.join(differing)}" if differing else ""
    return f"{title}: {own.as_posix()}/ of this folder, not those of theory-check{changed}."


def stated_path(path: Path) -> str:
    """Return a path as reports show it: that of a shipped file from :func:`home` on."""
    if is_shipped(path):
        path = path.resolve().relative_to(home().resolve())
    return path.as_posix()


def experiment_files(catalogue: Catalogue | None = None) -> dict[str, Path]:
    """Return the path of every experiment file by its stem, those of the studies included.

    Raises
    ------
    DuplicateNameError
        If a study has one of the name of another.
    """
    found = {path.stem: path for path in sorted(directory("experiments").glob("*.toml"))}
    for root in () if catalogue is None else catalogue.studies:
        for path in sorted(root.experiments.glob("*.toml")):
            if path.stem in found:
                refuse_twins("experiments", path.stem, found[path.stem], path)
            found[path.stem] = path
    return found


def experiment_file(name: str | Path, catalogue: Catalogue | None = None) -> Path:
    """Return the file that ``name`` stands for: a path, or the stem of an experiment file."""
    path = as_path("experiment", name, "pass the path of a TOML file, or the name of an experiment")
    # That of os.path does not raise where a name is too long for a file.
    if path.suffix == ".toml" or os.path.isfile(path):
        return path
    files = experiment_files(catalogue)
    if str(name) not in files and (path.suffix or len(path.parts) > 1):
        raise InvalidArgumentError(
            "experiment",
            shortened(str(name)),
            "no such file: pass one, or the name of an experiment",
        )
    shipped = home() / "experiments" / f"{name}.toml"
    if str(name) not in files and os.path.isfile(shipped):
        raise InvalidArgumentError(
            "experiment",
            repr(str(name)),
            f"{directory('experiments').as_posix()}/ of this folder has none of this name and hides "
            "those of theory-check: copy the file there, or run from another folder",
        )
    require_choice("experiment", str(name), files)
    return files[str(name)]


def figure_scripts(catalogue: Catalogue | None = None) -> list[Path]:
    """Return the scripts of ``paper_figures/``, one per figure, and those of the studies."""
    folders = [directory("paper_figures")]
    folders += [] if catalogue is None else [root.figures for root in catalogue.studies]
    return [path for folder in folders for path in sorted(folder.glob("[!_]*.py"))]
