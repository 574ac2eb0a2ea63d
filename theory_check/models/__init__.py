"""Reward and policy classes: parameters to tables, and gradients pulled back.

``theory_check.models.MLPReward`` is the class of ``mlp_reward.py``; a new file with a class is
found by being here, and passed on below.
"""

from theory_check.models.base import (
    ModelInputs,
    PolicyClass,
    PolicyModel,
    Prefixes,
    ReadsRows,
    RewardClass,
    RewardModel,
)
from theory_check.models.linear_reward import Linear, LinearReward
from theory_check.models.log_linear import LogLinear
from theory_check.models.mlp_policy import MLPPolicy
from theory_check.models.mlp_reward import MLPReward
from theory_check.models.tabular_softmax import Tabular, TabularSoftmax
from theory_check.models.transformer_policy import TransformerPolicy, random_log_policy
from theory_check.models.transformer_reward import TransformerReward

__all__ = [
    "Linear",
    "LinearReward",
    "LogLinear",
    "MLPPolicy",
    "MLPReward",
    "ModelInputs",
    "PolicyClass",
    "PolicyModel",
    "Prefixes",
    "ReadsRows",
    "RewardClass",
    "RewardModel",
    "Tabular",
    "TabularSoftmax",
    "TransformerPolicy",
    "TransformerReward",
    "named_classes",
    "random_log_policy",
]


def named_classes(kind: type) -> dict[str, type]:
    """Return the classes above of one kind, :class:`RewardClass` or :class:`PolicyClass`, by ``name``."""
    classes = [each for each in globals().values() if isinstance(each, type)]
    return {each.name: each for each in classes if issubclass(each, kind) and hasattr(each, "name")}
