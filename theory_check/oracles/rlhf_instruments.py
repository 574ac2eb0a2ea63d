"""Instruments of RLHF problems: sampled and exact oracles over one enumeration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.models import PolicyModel, RewardModel
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.instruments import Instruments
from theory_check.oracles.rlhf_truth import RLHFTruth
from theory_check.oracles.sampled import SampledOracle
from theory_check.problems import Problem
from theory_check.randomness import standard_normals


def initial_upper(
    seeds: Sequence[int], parameters: int, scale: float
) -> Float[Tensor, "replicate upper"]:
    """Draw standard normal parameters times ``scale``."""
    return scale * _standard_normal("initial reward parameters", seeds, parameters)


def initial_reward(
    seeds: Sequence[int], model: RewardModel, scale: float
) -> Float[Tensor, "replicate upper"]:
    """Draw parameters of a reward class, from normal noise of standard deviation ``scale``."""
    return model.initial(initial_upper(seeds, model.parameters, scale))


def initial_policy(seeds: Sequence[int], model: PolicyModel) -> Float[Tensor, "replicate lower"]:
    """Draw parameters of a policy class, from standard normal noise."""
    return model.initial(_standard_normal("initial policy parameters", seeds, model.parameters))


def _standard_normal(
    purpose: str, seeds: Sequence[int], parameters: int
) -> Float[Tensor, "replicate parameter"]:
    return torch.from_numpy(np.stack(standard_normals(purpose, seeds, parameters)))


class RLHFInstruments(Instruments):
    """Oracles of an RLHF problem; see :class:`Instruments`."""

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

    def initial_upper(self, seeds: Sequence[int], scale: float) -> Float[Tensor, "replicate upper"]:
        """Return random parameters of the reward class."""
        return initial_reward(seeds, self._reward_model, scale).to(self._device)

    def initial_lower(self, seeds: Sequence[int]) -> Float[Tensor, "replicate lower"]:
        """Return parameters of the reference policy."""
        return initial_policy(seeds, self._policy_model).to(self._device)
