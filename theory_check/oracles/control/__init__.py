"""The control of a problem: episodic or discounted."""

from __future__ import annotations

import torch

from theory_check.oracles.control.discounted_control import DiscountedControl
from theory_check.oracles.control.episodic_control import EpisodicControl
from theory_check.oracles.control.soft_control import SoftControl
from theory_check.problems import Problem


def control_of(problem: Problem, device: torch.device | str = "cpu") -> SoftControl:
    """Return closed-form control of ``problem`` on ``device``."""
    kind = DiscountedControl if problem.horizon is None else EpisodicControl
    return kind.of(problem, device)
