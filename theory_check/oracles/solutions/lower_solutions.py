"""Both lower levels solved at given reward parameters, within whatever policy class a problem has.

``docs/theory.md`` sections 3 and 3.5: what the penalty reformulation is compared with at a point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from theory_check.models import Tabular
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.solutions.parametrised import ParametrisedLowerLevel, PenalisedPoint


@runtime_checkable
class LowerSolutions(Protocol):
    """``lambda*`` and ``lambda_sigma`` at some reward parameters, and what follows from them."""

    @property
    def lower(self) -> Float[Tensor, "replicate lower"]:
        """``lambda*``."""
        ...

    @property
    def certified(self) -> Bool[Tensor, " replicate"]:
        """Which replicates have a certified ``lambda*``."""
        ...

    def hyperobjective(self) -> Float[Tensor, " replicate"]:
        """Return ``Phi``."""
        ...

    def hypergradient(self) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi``."""
        ...

    def penalised(self, sigma: float) -> PenalisedPoint:
        """Return ``lambda_sigma``, ``Phi_sigma`` and its gradient."""
        ...


@dataclass(frozen=True, eq=False)
class TabularLowerLevel:
    """The lower level with one free logit per step, state and action: in closed form.

    Parameters
    ----------
    exact
        The exact oracle.
    phi
        Reward parameters, shape (replicate, upper).
    """

    exact: ExactOracle
    phi: Float[Tensor, "replicate upper"]

    @property
    def lower(self) -> Float[Tensor, "replicate lower"]:
        """``lambda*``."""
        return self.exact.optimal_policy(self.phi).flatten(1)

    @property
    def certified(self) -> Bool[Tensor, " replicate"]:
        """All: a closed form needs no certificate."""
        return torch.ones(self.phi.shape[0], dtype=torch.bool, device=self.phi.device)

    def hyperobjective(self) -> Float[Tensor, " replicate"]:
        """Return ``Phi``."""
        return self.exact.hyperobjective(self.phi)

    def hypergradient(self) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi``."""
        return self.exact.hypergradient(self.phi)

    def penalised(self, sigma: float) -> PenalisedPoint:
        """Return ``lambda_sigma``, ``Phi_sigma`` and its gradient."""
        exact = self.exact
        reward = exact.reward_model.table(self.phi)
        solution = exact.solve_penalised(reward, sigma)
        optimal = exact.control.optimal_log_policy(reward)
        gap = exact.control.lower_gap(solution.log_policy, optimal)
        return PenalisedPoint(
            lower=solution.log_policy.flatten(1),
            value=exact.evaluate_upper(reward, solution.log_policy).value + gap / sigma,
            gradient=exact.penalty_gradient_at(self.phi, solution.log_policy, sigma),
            certified=solution.certified,
        )


def status_of(point: PenalisedPoint) -> list[str]:
    """Return ``"ok"`` or ``"not certified"`` for every replicate, as tables of results have it."""
    return ["ok" if yes else "not certified" for yes in point.certified.tolist()]


def lower_solutions(
    exact: ExactOracle, seeds: Sequence[int], phi: Float[Tensor, "replicate upper"]
) -> LowerSolutions:
    """Return the solutions of both lower levels within the policy class of the problem.

    Parameters
    ----------
    exact
        The exact oracle of the problem.
    seeds
        One per replicate; they decide where a search within a parametric class starts.
    phi
        Reward parameters, shape (replicate, upper).
    """
    if isinstance(exact.problem.policy_class, Tabular):
        return TabularLowerLevel(exact, phi)
    return ParametrisedLowerLevel(exact, seeds, phi)
