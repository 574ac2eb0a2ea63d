"""The law of what is compared: whole trajectories, or segments that start from the occupancy.

Expectations over trajectories and their derivatives in the policy, for the episodic and the discounted
version (``docs/theory.md`` sections 1.2 and 2.4).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.oracles.comparisons.trajectories import (
    DEFAULT_ENUMERATION_BUDGET,
    TrajectorySpace,
    enumerate_segments,
    enumerate_trajectories,
)
from theory_check.oracles.control.discounted_control import DiscountedControl
from theory_check.oracles.control.soft_control import SoftControl
from theory_check.problems import Problem


@dataclass(frozen=True, eq=False)
class Comparisons(ABC):
    """Compared trajectories and their law ``rho_lambda``.

    Attributes
    ----------
    space
        The trajectories, or segments.
    """

    space: TrajectorySpace

    @abstractmethod
    def probabilities(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate trajectory"]:
        """Return ``rho_lambda``."""

    @abstractmethod
    def policy_gradient(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        weights: Float[Tensor, "replicate trajectory"],
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the gradient of ``sum_tau weight(tau) log rho_lambda(tau)`` along policies.

        Weights are held fixed. A policy model can pull the result back to its parameters; in directions
        in which rows do not stay distributions it is fixed by convenience only.
        """

    def with_control(self, control: SoftControl) -> Comparisons:
        """Return the same comparisons for another control of the same dynamics."""
        return self


@dataclass(frozen=True, eq=False)
class EpisodicComparisons(Comparisons):
    """Whole trajectories, ``rho0(s_0) prod pi_h(a_h|s_h) prod P(s_{h+1}|s_h, a_h)``."""

    policy_shape: tuple[int, int, int]

    def probabilities(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate trajectory"]:
        """Return ``rho_lambda``."""
        return self.space.probabilities(log_policy)

    def policy_gradient(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        weights: Float[Tensor, "replicate trajectory"],
    ) -> Float[Tensor, "replicate h s a"]:
        """Return ``sum_tau weight(tau) 1[tau takes (h, s, a)]``."""
        return self.space.to_policy_table(weights, self.policy_shape)


@dataclass(frozen=True, eq=False)
class DiscountedComparisons(Comparisons):
    """Segments, ``d^pi(s_0) prod pi(a_h|s_h) prod P(s_{h+1}|s_h, a_h)``."""

    control: DiscountedControl

    def with_control(self, control: SoftControl) -> Comparisons:
        """Return the same segments with the occupancies of another control."""
        assert isinstance(control, DiscountedControl)
        return replace(self, control=control)

    def probabilities(
        self, log_policy: Float[Tensor, "replicate h s a"]
    ) -> Float[Tensor, "replicate trajectory"]:
        """Return ``rho_lambda``: one S x S solve."""
        start = self.control.state_occupancy(log_policy)[:, self.space.states[:, 0]]
        return start * self.space.probabilities(log_policy)

    def policy_gradient(
        self,
        log_policy: Float[Tensor, "replicate h s a"],
        weights: Float[Tensor, "replicate trajectory"],
    ) -> Float[Tensor, "replicate h s a"]:
        """Return the score of the steps and that of the first state, through ``d^pi``."""
        along = self.space.to_policy_table(weights, self.control.policy_shape)
        occupancy = self.control.state_occupancy(log_policy)
        starting = self.space.sum_by_first_state(weights, occupancy.shape[-1])
        # No segment starts where the occupancy is 0.
        slope = torch.where(starting == 0, 0.0, starting / occupancy)
        return along + self.control.pull_back_through_occupancy(log_policy, slope)


def comparisons_of(
    problem: Problem,
    control: SoftControl,
    *,
    budget: int = DEFAULT_ENUMERATION_BUDGET,
    device: torch.device | str = "cpu",
) -> Comparisons:
    """Enumerate what ``problem`` compares.

    Parameters
    ----------
    problem
        An episodic or discounted problem.
    control
        Its control, on the same device.
    budget
        Largest number of trajectories or segments to enumerate.
    device
        Where the tables live.

    Raises
    ------
    EnumerationBudgetError
        If there are more than ``budget``.
    """
    if isinstance(control, DiscountedControl):
        return DiscountedComparisons(
            enumerate_segments(problem, budget=budget, device=device), control
        )
    return EpisodicComparisons(
        enumerate_trajectories(problem, budget=budget, device=device), control.policy_shape
    )
