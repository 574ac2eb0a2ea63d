"""Where the experiment files and the figure scripts are."""

from __future__ import annotations

import os
from pathlib import Path

from theory_check.errors import (
    InvalidArgumentError,
    require_choice,
    shortened,
)
from theory_check.files import as_path
from theory_check.runs.identity import PACKAGE


def directory(name: str) -> Path:
    """Return ``name`` under the current directory, else under the checkout of the package.

    Raises
    ------
    InvalidArgumentError
        When neither has such a directory.
    """
    for parent in (Path(), PACKAGE.parent):
        if (parent / name).is_dir():
            return parent / name
    raise InvalidArgumentError(
        f"{name}/",
        f"no such directory in {Path.cwd()}",
        f"run from a checkout of theory-check, or from a directory that holds {name}/",
    )


def experiment_files() -> dict[str, Path]:
    """Return the path of every experiment file by its stem."""
    return {path.stem: path for path in sorted(directory("experiments").glob("*.toml"))}


def experiment_file(name: str | Path) -> Path:
    """Return the file that ``name`` stands for: a path, or the stem of one in ``experiments/``."""
    path = as_path("experiment", name, "pass the path of a TOML file, or the name of an experiment")
    # That of os.path does not raise where a name is too long for a file.
    if path.suffix == ".toml" or os.path.isfile(path):
        return path
    files = experiment_files()
    if str(name) not in files and (path.suffix or len(path.parts) > 1):
        raise InvalidArgumentError(
            "experiment",
            shortened(str(name)),
            "no such file: pass one, or the name of an experiment",
        )
    require_choice("experiment", str(name), files)
    return files[str(name)]


def figure_scripts() -> list[Path]:
    """Return the scripts of ``paper_figures/``, one per figure."""
    scripts = directory("paper_figures").glob("*.py")
    return sorted(path for path in scripts if not path.stem.startswith("_"))
