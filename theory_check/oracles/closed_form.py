"""Oracles of closed-form problems: exact, and with Gaussian gradient noise that is counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.bilevel import (
    Coupling,
    LowerGradients,
    TotalGradient,
    UpperGradients,
)
from theory_check.oracles.estimates.counts import SampleCounter, SampleCounts
from theory_check.oracles.estimates.replicate_draws import ReplicateDraws
from theory_check.oracles.instruments import Instruments
from theory_check.oracles.starts import initial_upper
from theory_check.problems.closed_form import ClosedFormProblem
from theory_check.problems.gradient_noise import Batch, BatchSize


class ClosedFormOracle:
    """First-order information of both levels, without noise.

    Parameters
    ----------
    problem
        A closed-form problem.
    """

    def __init__(self, problem: ClosedFormProblem) -> None:
        self.problem = problem

    def lower_gradient(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: BatchSize,
    ) -> Float[Tensor, "replicate lower"]:
        """Return ``∂_y g(x, y)``."""
        return self._lower(upper, lower, self._batch(samples))[1]

    def lower_gradients(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        samples: BatchSize,
        coupling: Coupling,
    ) -> LowerGradients:
        """Return ``∂_y g`` at y and y'; a shared batch has the same noise at both."""
        first = self._batch(samples)
        second = first if coupling == "shared" else self._batch(samples)
        return LowerGradients(
            at_lower=self._lower(upper, lower, first)[1],
            at_penalised=self._lower(upper, penalised, second)[1],
        )

    def upper_gradients(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: BatchSize,
    ) -> UpperGradients:
        """Return ``∂_x f`` and ``∂_y f``."""
        in_upper, in_lower = self.problem.upper_gradients(upper, lower)
        noise = self._upper_errors(samples, upper)
        split = self.problem.upper_parameters
        return UpperGradients(
            in_upper=in_upper + noise[:, :split], in_lower=in_lower + noise[:, split:]
        )

    def penalty_difference(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        samples: BatchSize,
        coupling: Coupling,
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_x g(x, y') - ∂_x g(x, y)``."""
        first = self._batch(samples)
        second = first if coupling == "shared" else self._batch(samples)
        return self._lower(upper, penalised, second)[0] - self._lower(upper, lower, first)[0]

    def lower_gradient_change(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        earlier_upper: Float[Tensor, "replicate upper"],
        earlier_lower: Float[Tensor, "replicate lower"],
        samples: BatchSize,
    ) -> LowerGradients:
        """Return ``∂_y g`` at two points with the same noise."""
        batch = self._batch(samples)
        return LowerGradients(
            at_lower=self._lower(upper, lower, batch)[1],
            at_penalised=self._lower(earlier_upper, earlier_lower, batch)[1],
        )

    def upper_gradient(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: BatchSize,
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_x f``."""
        return self.upper_gradients(upper, lower, samples).in_upper

    def total_gradient(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        samples: BatchSize,
        rollouts: BatchSize,
        *,
        separate_values: bool = False,
    ) -> TotalGradient:
        """Return ``∂_x f`` and ``(dy*/dx)^T ∂_y f``; the response itself has no noise."""
        gradients = self.upper_gradients(upper, lower, samples)
        self._batch(rollouts)
        return TotalGradient(
            gradients.in_upper, self.problem.pull_back_through_minimiser(upper, gradients.in_lower)
        )

    def pointwise_penalty_in_upper(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        rollouts: BatchSize,
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_x g(x, y') - ∂_x g(x, y)``: there are no states to add up over."""
        return self.penalty_difference(upper, lower, penalised, rollouts, "shared")

    def pointwise_penalty_in_lower(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"],
        rollouts: BatchSize,
    ) -> Float[Tensor, "replicate lower"]:
        """Return ``∂_y g(x, y')``."""
        return self.lower_gradient(upper, penalised, rollouts)

    def implicit_gradient(
        self, lower: Float[Tensor, "replicate lower"], samples: BatchSize
    ) -> Float[Tensor, "replicate lower"]:
        """Return the gradient in y of ``f(x(y), y')`` at ``y' = y``."""
        in_upper = self.upper_gradient(self.problem.implied_upper(lower), lower, samples)
        return self.problem.pull_back_through_implied_upper(in_upper)

    def implicit_objective_gradient(
        self, lower: Float[Tensor, "replicate lower"], samples: BatchSize
    ) -> Float[Tensor, "replicate lower"]:
        """Return the gradient in y of ``f(x(y), y)``."""
        gradients = self.upper_gradients(self.problem.implied_upper(lower), lower, samples)
        through_upper = self.problem.pull_back_through_implied_upper(gradients.in_upper)
        return through_upper + gradients.in_lower

    def implied_upper(
        self, lower: Float[Tensor, "replicate lower"]
    ) -> Float[Tensor, "replicate upper"]:
        """Return the x whose ``y*(x)`` is nearest to y."""
        return self.problem.implied_upper(lower)

    def optimal_lower(
        self, upper: Float[Tensor, "replicate upper"]
    ) -> Float[Tensor, "replicate lower"]:
        """Return ``y*(x)``."""
        return self.problem.lower_minimiser(upper)

    def contracted_lower(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
    ) -> Float[Tensor, "replicate lower"]:
        """Return the point half-way to ``y*(x)``."""
        return 0.5 * (lower + self.problem.lower_minimiser(upper))

    def adjoint_system(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
    ) -> _CurvatureSystem:
        """Return ``∇²_yy g w = ∂_y f``."""
        return _CurvatureSystem(self.problem, upper, lower)

    def _lower(self, upper: Tensor, lower: Tensor, batch: Batch | None) -> tuple[Tensor, Tensor]:
        """``(∂_x g, ∂_y g)`` with the errors of a batch."""
        in_upper, in_lower = self.problem.lower_gradients(upper, lower)
        if batch is None:
            return in_upper, in_lower
        errors = self.problem.gradient_noise.lower_errors(upper, lower, batch)
        return in_upper + errors[0], in_lower + errors[1]

    def _batch(self, samples: BatchSize) -> Batch | None:
        """Return what n lower-level samples amount to: nothing that would change the exact gradients."""
        return None

    def _upper_errors(self, samples: BatchSize, like: Tensor) -> Float[Tensor, "replicate both"]:
        """Mean error of n upper-level samples: none."""
        problem = self.problem
        return like.new_zeros(like.shape[0], problem.upper_parameters + problem.lower_parameters)


class _CurvatureSystem:
    """The system of the implicit function formula."""

    def __init__(self, problem: ClosedFormProblem, upper: Tensor, lower: Tensor) -> None:
        self._problem, self._at = problem, (upper, lower)
        self._direct, self.right_hand_side = problem.upper_gradients(upper, lower)

    def apply(self, vector: Float[Tensor, "replicate lower"]) -> Float[Tensor, "replicate lower"]:
        """Return ``∇²_yy g w``."""
        return self._problem.lower_curvature(*self._at, vector)[1]

    def apply_transposed(
        self, vector: Float[Tensor, "replicate lower"]
    ) -> Float[Tensor, "replicate lower"]:
        """Return the same: Hessians are symmetric."""
        return self.apply(vector)

    def hypergradient(
        self, solution: Float[Tensor, "replicate lower"]
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∂_x f - ∇²_xy g w``."""
        return self._direct - self._problem.lower_curvature(*self._at, solution)[0]


class SampledClosedFormOracle(ClosedFormOracle):
    """The same with the errors of the problem's :class:`GradientNoise`, counted.

    A lower-level sample counts as a trajectory of one step, an upper-level one as a label. Batches may
    differ between replicates: ``samples`` is then an array.

    Parameters
    ----------
    problem
        A closed-form problem.
    seeds
        One seed per replicate; a replicate's draws depend on its own seed alone.
    sample_budget
        As in :class:`theory_check.oracles.sampled.SampledOracle`.
    """

    def __init__(
        self, problem: ClosedFormProblem, seeds: Sequence[int], sample_budget: int | None = None
    ) -> None:
        super().__init__(problem)
        self._counter = SampleCounter(sample_budget)
        self._draws = ReplicateDraws("gradient noise", seeds)

    @property
    def counts(self) -> SampleCounts:
        """Samples each replicate has drawn so far."""
        return self._counter.counts

    def _batch(self, samples: BatchSize) -> Batch | None:
        self._counter.add(trajectories=samples, labels=0, env_steps=samples)
        return self.problem.gradient_noise.lower_batch(self._draws, samples)

    def _upper_errors(self, samples: BatchSize, like: Tensor) -> Float[Tensor, "replicate both"]:
        self._counter.add(trajectories=0, labels=samples, env_steps=0)
        return self.problem.gradient_noise.upper_errors(self._draws, samples)


class ClosedFormTruth:
    """What the recorder may know of a closed-form problem: everything."""

    def __init__(self, problem: ClosedFormProblem) -> None:
        self._problem = problem

    @property
    def optimal_hyperobjective(self) -> float:
        """``min Phi``."""
        return self._problem.optimal_hyperobjective

    def hyperobjective(
        self, upper: Float[Tensor, "replicate upper"]
    ) -> Float[Tensor, " replicate"]:
        """Return ``Phi``."""
        return self._problem.hyperobjective(upper)

    def hypergradient(
        self, upper: Float[Tensor, "replicate upper"]
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi``."""
        return self._problem.hypergradient(upper)

    def surrogate_gradient(
        self, upper: Float[Tensor, "replicate upper"], sigma: float
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi_sigma``."""
        return self._problem.surrogate_gradient(upper, sigma)

    def diagnostics(
        self,
        upper: Float[Tensor, "replicate upper"],
        lower: Float[Tensor, "replicate lower"],
        penalised: Float[Tensor, "replicate lower"] | None,
        sigma: float | None,
    ) -> dict[str, Float[Tensor, " replicate"]]:
        """Return the gap of the lower level."""
        return {"lower_gap": self._problem.lower_gap(upper, lower)}

    def penalised_distance(
        self,
        upper: Float[Tensor, "replicate upper"],
        penalised: Float[Tensor, "replicate lower"],
        sigma: float,
    ) -> Float[Tensor, " replicate"]:
        """Return the distance of y' to ``argmin sigma f + g``."""
        return self._problem.penalised_distance(upper, penalised, sigma)


class ClosedFormInstruments(Instruments):
    """Oracles of a closed-form problem; see :class:`Instruments`."""

    differing_batches: ClassVar[bool] = True
    sampled_kind: ClassVar[type[SampledClosedFormOracle]] = SampledClosedFormOracle
    exact_kind: ClassVar[type] = ClosedFormOracle

    def __init__(
        self,
        problem: ClosedFormProblem,
        seeds: Sequence[int],
        *,
        sample_budget: int | None,
        enumeration_budget: int,
        device: torch.device | str,
    ) -> None:
        self.sampled = self.sampled_kind(problem, seeds, sample_budget)
        self.information = ClosedFormOracle(problem)
        self.truth = ClosedFormTruth(problem)
        self.problem = problem
        self.upper_parameters = problem.upper_parameters
        self._origin = torch.zeros(problem.lower_parameters, dtype=torch.float64, device=device)

    def initial_upper(self, seeds: Sequence[int], scale: float) -> Float[Tensor, "replicate upper"]:
        """Return the problem's own start, or normal parameters where it has none."""
        if self.problem.start is not None:
            return self.problem.start.to(self._origin.device).repeat(len(seeds), 1)
        return initial_upper(seeds, self.upper_parameters, scale).to(self._origin.device)

    def initial_lower(self, seeds: Sequence[int]) -> Float[Tensor, "replicate lower"]:
        """Return ``y*`` at the problem's own start, or zeros where it has none."""
        if self.problem.start is not None:
            return self.problem.lower_minimiser(self.initial_upper(seeds, 1.0))
        return self._origin.repeat(len(seeds), 1)

    def initial_penalised(
        self, upper: Float[Tensor, "replicate upper"], sigma: float
    ) -> Float[Tensor, "replicate lower"] | None:
        """Return ``argmin_y sigma f + g`` at the problem's own start, or ``y*`` where there is none."""
        if self.problem.start is None:
            return None
        found = self.problem.penalised(upper, sigma)
        solved = self.problem.lower_minimiser(upper)
        return torch.where(found.certified[:, None], found.lower, solved)
