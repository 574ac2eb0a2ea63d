"""Algorithms, one file each, written against ``theory_check.bilevel.BilevelOracle``.

``theory_check.solvers.PenaltyBilevel`` is the class of ``penalty_bilevel.py``; a new file needs no
edit here.
"""

import dataclasses
import sys
from typing import Any

from theory_check.discovery import classes, instances
from theory_check.solvers.method import Method

__all__ = ["methods", "solver_classes"]


def solver_classes() -> dict[str, type[Any]]:
    """Return every solver class by its name."""
    found = classes(sys.modules[__name__], object, "name")
    return {name: found[name] for name in sorted(found) if dataclasses.is_dataclass(found[name])}


def methods() -> dict[str, Method]:
    """Return every method that is compared, by its id."""
    found = instances(sys.modules[__name__], Method)
    return {name: found[name] for name in sorted(found)}


globals().update({solver.__name__: solver for solver in solver_classes().values()})
