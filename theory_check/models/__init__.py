"""Reward and policy classes: parameters to tables, and gradients pulled back.

``theory_check.models.MLPReward`` is the class of ``mlp_reward.py``; a new file with a class is
found by being here, and passed on below.
"""

import sys

from theory_check.discovery import classes
from theory_check.models.base import (
    ModelInputs,
    PolicyClass,
    PolicyModel,
    RewardClass,
    RewardModel,
)
from theory_check.models.linear_reward import Linear, LinearReward
from theory_check.models.log_linear import LogLinear
from theory_check.models.mlp_policy import MLPPolicy
from theory_check.models.mlp_reward import MLPReward
from theory_check.models.tabular_softmax import Tabular, TabularSoftmax

__all__ = [
    "Linear",
    "LinearReward",
    "LogLinear",
    "MLPPolicy",
    "MLPReward",
    "ModelInputs",
    "PolicyClass",
    "PolicyModel",
    "RewardClass",
    "RewardModel",
    "Tabular",
    "TabularSoftmax",
    "policy_classes",
    "reward_classes",
]


def reward_classes() -> dict[str, type[RewardClass]]:
    """Return every reward class by its name in experiment files."""
    found = classes(sys.modules[__name__], RewardClass, "name")  # type: ignore[type-abstract]
    return {name: found[name] for name in sorted(found)}


def policy_classes() -> dict[str, type[PolicyClass]]:
    """Return every policy class by its name in experiment files."""
    found = classes(sys.modules[__name__], PolicyClass, "name")  # type: ignore[type-abstract]
    return {name: found[name] for name in sorted(found)}
