"""Instruments of RLHF problems: sampled and exact oracles over one enumeration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import (
    ContractionOracle,
    ImplicitDataOracle,
    ImplicitObjectiveOracle,
    ImplicitUpperOracle,
    OpposedPreferenceOracle,
    OptimalLowerOracle,
    PreferenceOracle,
)
from theory_check.models.linear_reward import LinearReward
from theory_check.models.tabular_softmax import TabularSoftmax
from theory_check.oracles.comparisons.possible import count_trajectories
from theory_check.oracles.comparisons.trajectories import DEFAULT_ENUMERATION_BUDGET
from theory_check.oracles.control.inverse_control import LINEAR_ALONE
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.exact_information import TABULAR_ALONE, ExactInformation
from theory_check.oracles.instruments import Instruments
from theory_check.oracles.rlhf_truth import RLHFTruth
from theory_check.oracles.sampled import SampledOracle
from theory_check.oracles.starts import initial_policy, initial_reward
from theory_check.problems import Problem

ENUMERATED_ALONE = (
    "use a method without kept preferences and implicit rewards, or a shorter horizon: every one of "
    f"at most {DEFAULT_ENUMERATION_BUDGET} trajectories has a weight in them"
)


ENUMERATED = (
    PreferenceOracle,
    OpposedPreferenceOracle,
    ImplicitUpperOracle,
    ImplicitObjectiveOracle,
    ImplicitDataOracle,
)
"""What takes a weight for every trajectory."""


class RLHFInstruments(Instruments):
    """Oracles of an RLHF problem; see :class:`Instruments`."""

    sampled_kind: ClassVar[type] = SampledOracle
    exact_kind: ClassVar[type] = ExactInformation

    def __init__(
        self,
        problem: Problem,
        seeds: Sequence[int],
        *,
        sample_budget: int | None,
        enumeration_budget: int,
        device: torch.device | str,
    ) -> None:
        exact = ExactOracle(problem, enumeration_budget=enumeration_budget, device=device)
        sampled = SampledOracle(
            problem,
            seeds,
            sample_budget=sample_budget,
            comparisons=exact.comparisons,
            device=device,
        )
        self.sampled = sampled
        self.information = ExactInformation(problem, comparisons=exact.comparisons, device=device)
        self.truth = RLHFTruth(exact, sampled.policy_model)
        self.upper_parameters = exact.reward_model.parameters
        self._reward_model = exact.reward_model
        self._policy_model = sampled.policy_model
        self._device = device

    @classmethod
    def withheld(cls, problem: Problem) -> Mapping[type, str]:
        """Return what is computed for tabular policies, linear rewards or few trajectories alone."""
        found: dict[type, str] = {}
        if not isinstance(problem.policy_model, TabularSoftmax):
            found |= dict.fromkeys((OptimalLowerOracle, ContractionOracle), TABULAR_ALONE)
        if not isinstance(problem.reward_model, LinearReward):
            found[ImplicitUpperOracle] = LINEAR_ALONE
        if count_trajectories(problem) > DEFAULT_ENUMERATION_BUDGET:
            found |= dict.fromkeys(ENUMERATED, ENUMERATED_ALONE)
        return found

    def initial_upper(self, seeds: Sequence[int], scale: float) -> Float[Tensor, "replicate upper"]:
        """Return random parameters of the reward class."""
        return initial_reward(seeds, self._reward_model, scale).to(self._device)

    def initial_lower(self, seeds: Sequence[int]) -> Float[Tensor, "replicate lower"]:
        """Return parameters of the reference policy."""
        return initial_policy(seeds, self._policy_model).to(self._device)
