"""A small problem of every family: the call that its docstring documents, else all defaults."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from typing import Any

import pytest

from theory_check.catalogue import installed
from theory_check.problems import Problem
from theory_check.testing import contract


def tabular_families() -> list[Any]:
    """Return the families that build a ``Problem``, skipped where their library is absent."""
    return [
        pytest.param(name, marks=pytest.mark.skipif(missing(name), reason="library not installed"))
        for name, family in installed().families.items()
        if inspect.signature(family).return_annotation == "Problem"
    ]


def missing(name: str) -> bool:
    """Return whether a family's module names a ``LIBRARY`` that is absent."""
    library = getattr(sys.modules[f"theory_check.problems.{name}"], "LIBRARY", None)
    return library is not None and importlib.util.find_spec(library) is None


def example(name: str) -> dict[str, Any]:
    """Return the keyword arguments of the first example in a family's docstring."""
    return contract.example(installed().families[name])


def build(name: str, **changes: Any) -> Problem:
    return installed().families[name](**{**example(name), **changes})
