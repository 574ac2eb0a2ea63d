"""In which order tests run on several processes; the hook is in ``conftest.py``.

Where compiled kernels are not cached yet, two processes that need the same one at a time compile it
twice. Of two processes, pytest-xdist gives each a half of the list, so that tests that compile stand in
the first half; the second begins with those that start programs, the longest of all, and what is left of
a half when the other is done is short.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

COMPILING = ("oracles", "advice", "solvers", "measurements", "problems", "kernels")
STARTING = ("runs", "cli", "")
SHORT = ("models", "recording", "testing", "benchmarks")


def ordered(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return the items by their folders: those named above, any other before the short ones."""
    first = (*COMPILING, *STARTING)

    def place(item: pytest.Item) -> int:
        parts = item.path.relative_to(TESTS).parts
        folder = parts[0] if len(parts) > 1 else ""
        if folder in first:
            return first.index(folder)
        return len(first) + int(folder in SHORT)

    return sorted(items, key=place)
