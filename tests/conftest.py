"""Makes ``helpers`` importable from every test.

It also defines ``--shapes`` (``helpers/shapes.py``), and the order of tests on several processes
(``helpers/order.py``).
"""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from helpers.order import ordered
from helpers.shapes import KEPT, enforce_annotations, has_shapes, kept


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shapes",
        action="store_true",
        help="enforce annotations of shapes, on the first case of each test of the rooms with them",
    )


def pytest_configure(config: pytest.Config) -> None:
    # No test uses those of hypothesis, and the one of trio imports it.
    os.environ.setdefault("HYPOTHESIS_NO_PLUGINS", "1")
    # What is collected stays: no collection of garbage has to look through it.
    gc.disable()
    if config.getoption("shapes"):
        enforce_annotations()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Spare the import of what does not run."""
    return True if config.getoption("shapes") and not has_shapes(collection_path) else None


def pytest_collection_finish() -> None:
    gc.enable()
    gc.freeze()
    # To look for garbage after every 700 new objects takes one part in twenty of all time.
    gc.set_threshold(20_000)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("shapes"):
        chosen = kept(items)
    else:
        chosen = [item for item in items if not item.get_closest_marker("only_with_shapes")]
    config.stash[KEPT] = chosen
    left_out = set(items).difference(chosen)
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = ordered(chosen) if hasattr(config, "workerinput") else chosen
