"""Problem families: one file each, holding a function of the file's name.

``theory_check.problems.garnet(...)`` is the function of ``garnet.py``; a new file needs no edit here.
"""

import sys
from collections.abc import Callable
from typing import Any

from theory_check.discovery import modules
from theory_check.problems.problem import Objective, Problem

__all__ = ["Objective", "Problem", "families", "instance_for"]


def families() -> dict[str, Callable[..., Problem]]:
    """Return every family's constructor, by name: the function named like its file."""
    found: dict[str, Callable[..., Problem]] = {}
    for module in modules(sys.modules[__name__]):
        name = module.__name__.rpartition(".")[2]
        constructor = getattr(module, name, None)
        if callable(constructor):
            found[name] = constructor
    return found


def instance_for(problem: Any, target: float) -> Any:
    """Return the instance of a class of problems for a target, squared norm; else the problem itself.

    A problem is a class where it has a method ``instance_for(target)``.
    """
    member = getattr(problem, "instance_for", None)
    return problem if member is None else member(target)


# A family's function takes the place of the submodule of the same name.
globals().update(families())
