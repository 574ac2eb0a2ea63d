"""Reward and policy classes: parameters to tables, and gradients pulled back."""

from theory_check.models.base import PolicyModel, RewardModel
from theory_check.models.linear_reward import LinearReward
from theory_check.models.tabular_softmax import TabularSoftmax

__all__ = ["LinearReward", "PolicyModel", "RewardModel", "TabularSoftmax"]
