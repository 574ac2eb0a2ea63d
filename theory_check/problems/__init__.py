"""Problem families: one file each, holding a function of the file's name.

``theory_check.problems.garnet(...)`` is the function of ``garnet.py``; a new file is
found by being here, and passed on below.
"""

from typing import Any

# A family's function takes the place of the submodule of the same name.
from theory_check.problems.bandit import bandit
from theory_check.problems.chain import chain
from theory_check.problems.garnet import garnet
from theory_check.problems.gridworld import gridworld
from theory_check.problems.gymnasium import gymnasium
from theory_check.problems.plateau import plateau
from theory_check.problems.preferences import BradleyTerry, Thurstone
from theory_check.problems.problem import Objective, Problem
from theory_check.problems.quadratic import quadratic
from theory_check.problems.quartic import quartic
from theory_check.problems.riverswim import riverswim
from theory_check.problems.sequences import sequences
from theory_check.problems.stored import stored
from theory_check.problems.tabular import tabular
from theory_check.problems.valley import valley
from theory_check.problems.zero_chain import zero_chain

__all__ = [
    "BradleyTerry",
    "Objective",
    "Problem",
    "Thurstone",
    "bandit",
    "chain",
    "garnet",
    "gridworld",
    "gymnasium",
    "instance_for",
    "plateau",
    "quadratic",
    "quartic",
    "riverswim",
    "sequences",
    "stored",
    "tabular",
    "valley",
    "zero_chain",
]


def instance_for(problem: Any, target: float) -> Any:
    """Return the instance of a class of problems for a target, squared norm; else the problem itself.

    A problem is a class where it has a method ``instance_for(target)``.
    """
    member = getattr(problem, "instance_for", None)
    return problem if member is None else member(target)
