"""Experiment files by name, and whose the files are that a result rests on."""

from __future__ import annotations

import os
from pathlib import Path

from theory_check.catalogue import Catalogue, home
from theory_check.errors import InvalidArgumentError, require_choice, shortened
from theory_check.files import as_path


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
