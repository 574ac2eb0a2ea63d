"""Algorithms, one file each, written against ``theory_check.bilevel.BilevelOracle``.

``theory_check.solvers.PenaltyBilevel`` is the class of ``penalty_bilevel.py``; a new file needs no
edit here.
"""

import dataclasses
import sys
from typing import Any

from theory_check.discovery import classes

__all__ = ["solver_classes"]


def solver_classes() -> dict[str, type[Any]]:
    """Return every solver class by its name."""
    found = classes(sys.modules[__name__], object, "name")
    return {name: found[name] for name in sorted(found) if dataclasses.is_dataclass(found[name])}


globals().update({solver.__name__: solver for solver in solver_classes().values()})
