"""Catalogues for tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from theory_check.catalogue import Catalogue, Root


def with_files_of(folder: Path) -> Catalogue:
    """Return the package's components with the experiments and the figures of another folder."""
    files = {"experiments": folder / "experiments", "figures": folder / "paper_figures"}
    return Catalogue((replace(Root.shipped(), **files),))
