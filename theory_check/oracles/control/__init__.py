"""The control of a problem: episodic, with states of their own at each step or not, or discounted."""

from __future__ import annotations

import torch

from theory_check.oracles.control.discounted_control import DiscountedControl
from theory_check.oracles.control.episodic_control import EpisodicControl
from theory_check.oracles.control.layered_control import LayeredControl
from theory_check.oracles.control.soft_control import SoftControl
from theory_check.oracles.control.sparse_resolvent import require_solvable
from theory_check.problems import Problem
from theory_check.problems.dynamics import SparseDynamics


def control_of(problem: Problem, device: torch.device | str = "cpu") -> SoftControl:
    """Return closed-form control of ``problem`` on ``device``.

    Raises
    ------
    InvalidArgumentError
        For a sparse kernel and a discount so near to 1 that its linear systems are not affordable.
    """
    if problem.layers is not None:
        return LayeredControl.of(problem, device)
    if problem.horizon is not None:
        return EpisodicControl.of(problem, device)
    if isinstance(problem.transitions, SparseDynamics):
        (mixed,) = problem.transitions.changes.under(problem.reference_policy)
        require_solvable(mixed, problem.discount, problem.name)
    return DiscountedControl.of(problem, device)
