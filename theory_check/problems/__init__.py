"""Problem families: one file each, holding a function of the file's name.

``theory_check.problems.garnet(...)`` is the function of ``garnet.py``; a new file needs no edit here.
"""

import sys
from collections.abc import Callable

from theory_check.discovery import modules
from theory_check.problems.problem import Objective, Problem

__all__ = ["Objective", "Problem", "families"]


def families() -> dict[str, Callable[..., Problem]]:
    """Return every family's constructor, by name: the function named like its file."""
    found: dict[str, Callable[..., Problem]] = {}
    for module in modules(sys.modules[__name__]):
        name = module.__name__.rpartition(".")[2]
        constructor = getattr(module, name, None)
        if callable(constructor):
            found[name] = constructor
    return found


# A family's function takes the place of the submodule of the same name.
globals().update(families())
