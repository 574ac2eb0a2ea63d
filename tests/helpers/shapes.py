"""What ``pytest --shapes`` enforces and which tests it runs; the hooks are in ``conftest.py``.

The check of every annotated call doubles what numeric tests take. So it has a pass of its own, over
fewer cases: with ``--shapes`` the modules of :data:`HOOKED` are imported with their annotations
enforced, and of their tests those run that :func:`kept` keeps. New tests and components enrol
themselves by where they are.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

TESTS = Path(__file__).resolve().parents[1]

HOOKED = ("analysis", "models", "oracles", "problems", "recording", "solvers")
"""Rooms of the package whose annotations are enforced."""

FOLDERS = (*HOOKED, "measurements")
"""Folders of tests that then run; of the measurements what is marked, since nothing else reaches it."""

KEPT = pytest.StashKey[list[pytest.Item]]()


def enforce_annotations() -> None:
    """Let every module of the hooked rooms, none of which was imported, check its calls."""
    packages = [f"theory_check.{room}" for room in HOOKED]
    if early := sorted(set(packages) & sys.modules.keys()):
        # The conftest.py of a folder that is named is imported before this is called.
        raise pytest.UsageError(f"--shapes: {early} are imported already; choose tests with -k")
    install_import_hook(packages, "beartype.beartype")


def has_shapes(path: Path) -> bool:
    """Return whether tests of this file or folder may run with ``--shapes``."""
    inside = path.relative_to(TESTS).parts
    return not inside or inside[0] in (*FOLDERS, "test_shapes.py")


def kept(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return the items that run with ``--shapes``.

    Of each test in the folder of a hooked room that is not slow the first case, of those marked
    ``every_case`` all, slow or not, and of the tests of ``--shapes`` itself those that need it.
    """
    seen: set[tuple[Path, str]] = set()
    chosen = []
    for item in items:
        test = item.path, getattr(item, "originalname", item.name)
        first = test not in seen and not item.get_closest_marker("slow")
        in_room = item.path.relative_to(TESTS).parts[0] in HOOKED
        marked = any(item.get_closest_marker(mark) for mark in ("every_case", "only_with_shapes"))
        if marked or (first and in_room):
            chosen.append(item)
        seen.add(test)
    return chosen
