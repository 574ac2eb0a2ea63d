"""The exact oracle: hyperobjective, hypergradient, penalised versions and gaps, in float64.

Expectations over pairs of trajectories or segments are sums over enumerated pairs, or over steps by
characteristic functions of the return, so nothing here is sampled (``docs/theory.md`` sections 2 and 3).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.errors import (
    CertificationError,
    InvalidArgumentError,
    is_number,
    require_instance,
    require_positive_integer,
    shortened,
)
from theory_check.models import RewardModel
from theory_check.oracles.comparisons import Comparisons, DiscountedComparisons, comparisons_of
from theory_check.oracles.comparisons.choice import compared, upper_objective
from theory_check.oracles.comparisons.trajectories import (
    DEFAULT_ENUMERATION_BUDGET,
    TrajectorySpace,
)
from theory_check.oracles.comparisons.upper import PairSums, UpperEvaluation, UpperObjective, Way
from theory_check.oracles.control import control_of
from theory_check.oracles.control.layered_control import LayeredControl
from theory_check.oracles.control.soft_control import SoftControl
from theory_check.oracles.numerics import (
    RESOLUTION,
    GradientParts,
    Parameters,
    as_rows,
    certify,
    require_device,
    require_rows,
    rounding_error,
)
from theory_check.oracles.solutions.level import (
    SMALLEST_SIGMA,
    PenalisedLowerLevel,
    PenalisedSolution,
    require_penalty,
)
from theory_check.oracles.solutions.minimise import minimise_penalised
from theory_check.oracles.solutions.penalised import (
    DiscountedPenalisedLevel,
    EpisodicPenalisedLevel,
)
from theory_check.oracles.solutions.quasi_newton import SummedPenalisedLevel
from theory_check.problems import Problem
from theory_check.problems.problem import require_problem

LARGEST_HESSIAN = 256
"""Entries of a policy with a row for each state of an episode from which none of it is formed."""


class ExactOracle:
    """Exact quantities of a problem with the tabular policy class.

    Parameters
    ----------
    problem
        An episodic or discounted problem.
    reward_model
        The reward class; the problem's own when None.
    enumeration_budget
        Largest number of trajectories, or segments, to enumerate.
    way
        What expectations are summed over: ``"pairs"`` of enumerated trajectories, ``"outcomes"`` of a
        single step, or ``"steps"``. When None, what costs least; pairs where an excess risk can be
        enumerated.
    device
        Where the tables live; results stay on that device.

    Raises
    ------
    EnumerationBudgetError
        If pairs are asked for and the problem has more trajectories or segments than the budget.
    InvalidArgumentError
        If an evaluation would take more than ten minutes; the message says what each way costs.

    Notes
    -----
    Errors: over pairs values and gradients are right to 1e-12 relatively, over steps or outcomes values
    to 2e-15 (w + 45) absolutely, w the window that returns differ in, and gradients to 1e-14 of what a
    pair adds at most. There an excess risk below 1e-13 is not resolved, and quantities are NaN where
    returns may differ by more than 1e5.

    Parameters ``phi`` are float64 tensors or arrays of shape (..., d), or nested sequences of numbers,
    finite and at least one point; anything else is refused with an ``InvalidArgumentError``. Results
    are tensors that keep the leading dimensions and carry no gradient, whether or not ``phi`` asks for
    one: :meth:`as_function` is the hyperobjective for automatic differentiation.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        reward_model: RewardModel | None = None,
        enumeration_budget: int = DEFAULT_ENUMERATION_BUDGET,
        way: Way | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        require_problem(problem)
        require_positive_integer("enumeration_budget", enumeration_budget)
        require_device("device", device)
        if reward_model is not None:
            remedy = "pass a reward class bound to the problem, such as problem.reward_model"
            require_instance("reward_model", reward_model, RewardModel, remedy)
        self.problem = problem
        self.searches_own_class = reward_model is None
        self.reward_model: RewardModel = (
            problem.reward_class.bind(problem.model_inputs.to(device))
            if reward_model is None
            else reward_model
        )
        self.control = control_of(problem, device)
        self.true_reward = problem.true_reward.to(device)
        self.upper = upper_objective(
            problem, self.control, way=way, budget=enumeration_budget, device=device
        )
        self._budget = enumeration_budget

    @cached_property
    def comparisons(self) -> Comparisons | UpperObjective:
        """What the problem compares: enumerated where the budget allows, else the upper objective."""
        if isinstance(self.upper, PairSums):
            return self.upper.comparisons
        device = self.true_reward.device
        return compared(self.problem, self.control, budget=self._budget, device=device)

    @property
    def enumerated(self) -> Comparisons:
        """What the problem compares, enumerated.

        Raises
        ------
        EnumerationBudgetError
            If there are more trajectories or segments than the budget.
        """
        if isinstance(self.comparisons, Comparisons):
            return self.comparisons
        return comparisons_of(self.problem, self.control, budget=self._budget)

    @property
    def space(self) -> TrajectorySpace:
        """Enumerated trajectories or segments; raises as :attr:`enumerated`."""
        return self.enumerated.space

    def hyperobjective(self, phi: Parameters) -> Float[Tensor, "*lead"]:
        """Return ``Phi(phi) = G(phi, lambda*(phi))``."""
        flat, lead = self._flatten(phi)
        reward = self.reward_model.table(flat)
        optimal = self.control.optimal_log_policy(reward)
        return self.evaluate_upper(reward, optimal).value.reshape(lead)

    def hypergradient(self, phi: Parameters) -> Float[Tensor, "*lead d"]:
        """Return ``∇Phi(phi)`` by the adjoint of ``docs/theory.md`` section 2.

        Raises
        ------
        CertificationError
            If the error that rounding leaves is estimated (:meth:`hypergradient_error`) above
            1e-6 of the norms of the gradient and of its direct part, as it may be where rewards
            are immense for the KL weight, or the discount is near 1 and states hardly mix.
        """
        flat, lead = self._flatten(phi)
        parts = self._hypergradient_parts(flat)
        certify(parts, self.control, partial(self._hypergradient_parts, flat))
        return parts.whole.reshape(*lead, -1)

    def hypergradient_error(self, phi: Parameters) -> Float[Tensor, "*lead"]:
        """Return an estimate of the norm of the error that rounding leaves in :meth:`hypergradient`.

        Measured, not a bound: eight times the share that rounding has in how far two perturbations of
        all rewards and linear systems, 64 times as large, move the gradient; not below 1e-12 of the
        norms of the gradient and of its direct part, to which losses are summed. Where labels are
        certain, beyond differences of returns of about 30, probabilities are within 1e-16 of 0 or 1,
        and a gradient below that is not resolved.
        """
        flat, lead = self._flatten(phi)
        parts = self._hypergradient_parts(flat)
        error = rounding_error(parts, self.control, partial(self._hypergradient_parts, flat))
        return torch.maximum(error, RESOLUTION * parts.size).reshape(lead)

    def as_function(self) -> Callable[[Tensor], Tensor]:
        """Return ``Phi`` as a function that torch differentiates by the exact hypergradient.

        It takes float64 tensors of shape (..., d) and returns shape (...). Second derivatives are not
        available.

        Examples
        --------
        >>> phi = torch.zeros(3, dtype=torch.float64, requires_grad=True)  # doctest: +SKIP
        >>> ExactOracle(problem).as_function()(phi).backward()  # doctest: +SKIP
        """
        return self._differentiable

    def optimal_policy(self, phi: Parameters) -> Float[Tensor, "*policy"]:
        """Return ``log pi*`` of the lower level at ``phi``.

        Shape (..., H, S, A), or (..., S, A) for policies with one row for each state; -inf for actions
        that do not exist.
        """
        flat, lead = self._flatten(phi)
        optimal = self.control.optimal_log_policy(self.reward_model.table(flat))
        return self._public(optimal, lead)

    def penalised_policy(self, phi: Parameters, sigma: float) -> Float[Tensor, "*policy"]:
        """Return ``log pi`` at ``lambda_sigma(phi) = argmin_lambda sigma G + g``.

        Shape as of :meth:`optimal_policy`.

        Raises
        ------
        CertificationError
            If the inner gradient norm could not be brought to its tolerance.
        """
        flat, lead = self._flatten(phi)
        solution = self._certified_penalised(self.reward_model.table(flat), sigma)
        return self._public(solution.log_policy, lead)

    def penalised_objective(self, phi: Parameters, sigma: float) -> Float[Tensor, "*lead"]:
        """Return ``Phi_sigma(phi)``, computed as ``G(lambda_sigma) + (J* - J(lambda_sigma)) / sigma``.

        For a negative sigma see :meth:`solve_penalised`.

        Raises
        ------
        CertificationError
            If the inner gradient norm could not be brought to its tolerance.
        """
        flat, lead = self._flatten(phi)
        reward = self.reward_model.table(flat)
        log_policy = self._certified_penalised(reward, sigma).log_policy
        optimal = self.control.optimal_log_policy(reward)
        gap = self.control.lower_gap(log_policy, optimal)
        return (self.evaluate_upper(reward, log_policy).value + gap / sigma).reshape(lead)

    def penalised_gradient(self, phi: Parameters, sigma: float) -> Float[Tensor, "*lead d"]:
        """Return ``∇Phi_sigma(phi)``, both inner problems solved to a certified tolerance.

        The inner gradient norm is at most 1e-11 min(1, sigma), not below 1e-14, relative to the size of
        returns; the result is then accurate to about max(1e-11, 1e-14 / sigma) / min(1, beta).

        Raises
        ------
        CertificationError
            If the inner gradient norm could not be brought to its tolerance.
        """
        flat, lead = self._flatten(phi)
        reward = self.reward_model.table(flat)
        log_policy = self._certified_penalised(reward, sigma).log_policy
        return self.penalty_gradient_at(flat, log_policy, sigma).reshape(*lead, -1)

    def evaluate_upper(
        self,
        reward: Float[Tensor, "replicate s a"],
        log_policy: Float[Tensor, "replicate h s a"],
    ) -> UpperEvaluation:
        """Return ``G`` and its partial derivatives for reward and policy tables."""
        require_rows("reward", reward, self.control.policy_shape[1:])
        require_rows("log_policy", log_policy, self.control.policy_shape)
        return self.upper.evaluate(reward, log_policy)

    def penalty_gradient_at(
        self,
        phi: Float[Tensor, "replicate d"],
        penalised_log_policy: Float[Tensor, "replicate h s a"],
        sigma: float,
    ) -> Float[Tensor, "replicate d"]:
        """Return ``∂_phi G(lambda') + (∂_phi J(lambda*) - ∂_phi J(lambda')) / sigma``."""
        require_rows("phi", phi, (self.reward_model.parameters,))
        require_rows("penalised_log_policy", penalised_log_policy, self.control.policy_shape)
        require_penalty(sigma)
        reward = self.reward_model.table(phi)
        optimal = self.control.optimal_log_policy(reward)
        difference = self.control.visit_difference(optimal, penalised_log_policy)
        upper = self.evaluate_upper(reward, penalised_log_policy)
        return self.reward_model.pullback(phi, upper.reward_gradient + difference / sigma)

    def solve_penalised(
        self, reward: Float[Tensor, "replicate s a"], sigma: float
    ) -> PenalisedSolution:
        """Minimise the penalised lower level; the solution says which replicates are certified.

        A negative sigma, the other end of a central difference (``docs/theory.md`` section 3.6), has
        to be small enough for ``lambda*`` to move to another minimiser and not away from all.
        """
        require_rows("reward", reward, self.control.policy_shape[1:])
        require_penalty(sigma)
        if abs(sigma) < SMALLEST_SIGMA:
            raise InvalidArgumentError(
                "sigma",
                sigma,
                f"pass at least {SMALLEST_SIGMA:g}: below it rounding exceeds the penalty bias, and "
                "hypergradient is what the penalised gradient tends to",
            )
        return minimise_penalised(self.penalised_level(reward, sigma))

    def penalised_level(
        self, reward: Float[Tensor, "replicate s a"], sigma: float
    ) -> PenalisedLowerLevel:
        """Return ``sigma G + (J* - J)`` for given rewards; with sigma 0 the lower level itself."""
        require_rows("reward", reward, self.control.policy_shape[1:])
        if not is_number(sigma) or sigma != 0:
            require_penalty(sigma)
        optimal = self.control.optimal_log_policy(reward)
        settings = (self.control, reward, optimal, sigma)
        layered = isinstance(self.control, LayeredControl)
        wide = layered and self.true_reward.numel() > LARGEST_HESSIAN
        if not isinstance(self.upper, PairSums) or wide:
            return SummedPenalisedLevel(*settings, upper=self.upper)
        comparisons, loss = self.upper.comparisons, self.upper.loss
        if isinstance(comparisons, DiscountedComparisons):
            return DiscountedPenalisedLevel(*settings, comparisons=comparisons, pair_loss=loss)
        return EpisodicPenalisedLevel(*settings, comparisons=comparisons, pair_loss=loss)

    def _hypergradient_parts(
        self, flat: Tensor, control: SoftControl | None = None
    ) -> GradientParts:
        """Return the two parts of ``∇Phi``, under the oracle's control or another one."""
        if control is not None:
            other = copy.copy(self)
            other.control, other.upper = control, self.upper.with_control(control)
            return other._hypergradient_parts(flat)
        reward = self.reward_model.table(flat)
        optimal = self.control.optimal_log_policy(reward)
        upper = self.evaluate_upper(reward, optimal)
        response = self.control.pull_back_through_optimum(optimal, upper.policy_gradient)
        largest = reward.abs().amax().item() / self.control.kl_weight
        return GradientParts(
            direct=self.reward_model.pullback(flat, upper.reward_gradient),
            response=self.reward_model.pullback(flat, response),
            magnification=16 * self.control.magnification * (1 + largest),
        )

    def _public(self, log_policy: Tensor, lead: tuple[int, ...]) -> Float[Tensor, "*policy"]:
        """Return a table as (H, S, A), or (S, A) of a stationary policy; -inf for absent actions."""
        absent, shape = self.control.absent, self.control.policy_shape
        shown = log_policy if absent is None else log_policy.masked_fill(absent, -torch.inf)
        return shown.reshape(*lead, *(shape[1:] if self.control.rows_are_states else shape))

    def _certified_penalised(self, reward: Tensor, sigma: float) -> PenalisedSolution:
        solution = self.solve_penalised(reward, sigma)
        if not bool(solution.certified.all()):
            worst = int(solution.gradient_norm.argmax())
            raise CertificationError(
                f"sigma = {sigma:g}: the penalised lower level of replicate {worst} stopped at inner "
                f"gradient norm {solution.gradient_norm[worst].item():.1e}, above its tolerance; "
                "use a smaller sigma, or reward parameters of moderate size"
            )
        return solution

    def _differentiable(self, phi: Tensor) -> Tensor:
        if not isinstance(phi, Tensor):
            raise InvalidArgumentError("phi", shortened(phi), "pass a float64 tensor")
        return _Hyperobjective.apply(self, phi)  # type: ignore[no-any-return, no-untyped-call]

    def _flatten(self, phi: Parameters) -> tuple[Tensor, tuple[int, ...]]:
        """Return ``phi`` as rows on the device of the tables, and its leading dimensions."""
        return as_rows(phi, self.reward_model.parameters, self.true_reward.device)


class _Hyperobjective(torch.autograd.Function):
    """``Phi`` forward, its exact hypergradient backward."""

    @staticmethod
    def forward(context: Any, oracle: ExactOracle, phi: Tensor) -> Tensor:
        context.oracle = oracle
        context.save_for_backward(phi)
        return oracle.hyperobjective(phi)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, outer: Tensor) -> tuple[None, Tensor]:
        (phi,) = context.saved_tensors
        return None, outer[..., None] * context.oracle.hypergradient(phi)
