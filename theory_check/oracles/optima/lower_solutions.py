"""Both lower levels solved at given reward parameters, within whatever policy class a problem has.

``docs/theory.md`` sections 3 and 3.5: what the penalty reformulation is compared with at a point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from theory_check.models import Tabular
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.solutions.curvature import Gradient, hessian
from theory_check.oracles.solutions.level import require_penalty
from theory_check.oracles.solutions.newton import Minimum, Value, descend, minimise
from theory_check.oracles.starts import initial_policy

GRADIENT_TOLERANCE = 1e-11
# What double precision leaves of a gradient of order 1 in a few hundred parameters.
SMALLEST_TOLERANCE = 1e-13
DESCENT_STEPS = 200
# Differences of steps h and 2h are extrapolated: the error is h^4 / 4 times a fifth derivative of
# the gradient, 4e-12 of it here, and rounding adds 1e-15 / h.
DIFFERENCE_STEP = 2e-3
# Eigenvalues of the Hessian as a share of the largest: 0 up to the error of the differences, or
# clearly not. Between the two the rank is in doubt, and nothing is certified.
ZERO_UP_TO = 1e-9
POSITIVE_FROM = 1e-7
# Where the infimum is only approached, at a distance like weight^-p, a gradient of 1e-13 below this
# weight needs p > 3.3, and the distance is then below 1e-10.
LARGEST_PARAMETER = 1e3


@dataclass(frozen=True, eq=False)
class PenalisedPoint:
    """The penalised lower level at some reward parameters, solved.

    Attributes
    ----------
    lower
        ``lambda_sigma``, shape (replicate, lower).
    value, gradient
        ``Phi_sigma``, shape (replicate,), and ``∇Phi_sigma``, shape (replicate, upper).
    certified
        Whether ``lambda*`` is certified and this inner gradient norm is at most its tolerance, shape
        (replicate,).
    """

    lower: Float[Tensor, "replicate lower"]
    value: Float[Tensor, " replicate"]
    gradient: Float[Tensor, "replicate upper"]
    certified: Bool[Tensor, " replicate"]


class ParametrisedLowerLevel:
    """Solutions of both lower levels within the policy class, at given reward parameters.

    ``lambda*`` is a minimiser of ``g`` to which descent leads from the seed's own initial parameters;
    ``lambda_sigma`` is followed from there. Certified means a gradient norm of at most 1e-11 min(1,
    sigma), not below 1e-13, relative to the size of returns (``sigma`` = 1 for ``lambda*``, 1e-13 is
    asked of it), and, for ``lambda*``, parameters of at most 1e3 and a Hessian that is positive
    semidefinite and of undoubted rank.

    Parameters
    ----------
    exact
        The exact oracle of the problem, whose policy class is searched.
    seeds
        One per replicate.
    phi
        Reward parameters, shape (replicate, upper).
    start
        Where Newton's method starts, shape (replicate, lower); when None, where descent from the seeds'
        initial parameters ends.
    """

    def __init__(
        self,
        exact: ExactOracle,
        seeds: Sequence[int],
        phi: Float[Tensor, "replicate upper"],
        start: Float[Tensor, "replicate lower"] | None = None,
    ) -> None:
        self._exact = exact
        self._information = ExactInformation(
            exact.problem, comparisons=exact.comparisons, device=phi.device
        )
        self._phi = phi
        self._reward = exact.reward_model.table(phi)
        self._tabular_optimum = exact.control.optimal_log_policy(self._reward)
        returns = exact.upper.largest_return(self._reward)
        self._scale = returns.clamp_min(max(1.0, exact.control.kl_weight))
        value, gradient = self._level(0.0)
        if start is None:
            initial = initial_policy(seeds, self._information.policy_model).to(phi.device)
            start = descend(value, gradient, initial, DESCENT_STEPS)
        found = minimise(value, gradient, start, SMALLEST_TOLERANCE * self._scale)
        self._lower = found.at
        self._eigenvalues, self._eigenvectors = self._spectrum(gradient, found.at)
        self._certified = self._is_certified(found)

    @property
    def lower(self) -> Float[Tensor, "replicate lower"]:
        """``lambda*``."""
        return self._lower

    @property
    def certified(self) -> Bool[Tensor, " replicate"]:
        """Which replicates have a certified ``lambda*``."""
        return self._certified

    @property
    def rank(self) -> Int[Tensor, " replicate"]:
        """Number of directions in which the lower level is curved at ``lambda*``."""
        return self._kept.sum(-1)

    def class_error(self) -> Float[Tensor, " replicate"]:
        """Return ``J(pi*) - J(lambda*)``, what the class loses to the tabular optimum."""
        return self._gap(self._lower)

    def hyperobjective(self) -> Float[Tensor, " replicate"]:
        """Return ``Phi = G(phi, lambda*)``; NaN where not certified."""
        return torch.where(self._certified, self._upper_value(self._lower), torch.nan)

    def hypergradient(self) -> Float[Tensor, "replicate upper"]:
        """Return ``∇Phi`` by the implicit formula; NaN where not certified.

        ``∂_phi G - ∇²_{phi lambda} g v`` with ``v = [∇²_{lambda lambda} g]^† ∂_lambda G`` (section
        3.5); the mixed derivative along ``v`` is a difference of ``∂_phi J``.
        """
        upper = self._information.upper_gradients(self._phi, self._lower, samples=1)
        coefficient = (self._eigenvectors.mT @ upper.in_lower[..., None]).squeeze(-1)
        inverse = torch.where(self._kept, 1 / self._eigenvalues, 0.0)
        response = (self._eigenvectors @ (coefficient * inverse)[..., None]).squeeze(-1)
        length = response.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(response.dtype).tiny)
        direction = response / length

        def difference(step: float) -> Tensor:
            ahead, behind = self._lower + step * direction, self._lower - step * direction
            change = self._information.penalty_difference(
                self._phi, ahead, behind, samples=1, coupling="independent"
            )
            return change / (2 * step)

        near, far = difference(DIFFERENCE_STEP), difference(2 * DIFFERENCE_STEP)
        gradient = upper.in_upper + length * (4 * near - far) / 3
        return torch.where(self._certified[:, None], gradient, torch.nan)

    def penalised(self, sigma: float) -> PenalisedPoint:
        """Return ``lambda_sigma``, ``Phi_sigma`` and its gradient; sigma has either sign."""
        require_penalty(sigma)
        value, gradient = self._level(sigma)
        relative = max(GRADIENT_TOLERANCE * min(1.0, abs(sigma)), SMALLEST_TOLERANCE)
        wanted = relative * self._scale.clamp_min(abs(sigma))
        found = minimise(value, gradient, self._lower, wanted)
        upper = self._information.upper_gradients(self._phi, found.at, samples=1)
        change = self._information.penalty_difference(
            self._phi, self._lower, found.at, samples=1, coupling="independent"
        )
        lost = self._gap(found.at) - self._gap(self._lower)
        return PenalisedPoint(
            lower=found.at,
            value=self._upper_value(found.at) + lost / sigma,
            gradient=upper.in_upper + change / sigma,
            certified=self._certified & (found.gradient_norm <= wanted),
        )

    @property
    def _kept(self) -> Bool[Tensor, "replicate lower"]:
        """Which eigenvectors of the Hessian are directions in which ``g`` is curved."""
        return self._eigenvalues > POSITIVE_FROM * self._eigenvalues.amax(-1, keepdim=True)

    def _level(self, sigma: float) -> tuple[Value, Gradient]:
        """Return ``sigma G + g``, up to a constant, and its gradient in ``lambda``."""

        def value(points: Tensor, owner: Tensor) -> Tensor:
            gap = self._gap(points, owner)
            return gap if sigma == 0 else sigma * self._upper_value(points, owner) + gap

        def gradient(points: Tensor, owner: Tensor) -> Tensor:
            phi = self._phi[owner]
            of_lower = self._information.lower_gradient(phi, points, samples=1)
            if sigma == 0:
                return of_lower
            pull = self._information.upper_gradients(phi, points, samples=1).in_lower
            return sigma * pull + of_lower

        return value, gradient

    def _spectrum(
        self, gradient: Gradient, at: Float[Tensor, "replicate lower"]
    ) -> tuple[Float[Tensor, "replicate lower"], Float[Tensor, "replicate lower lower"]]:
        """Return eigenvalues and eigenvectors of the Hessian; NaN where it is not finite."""
        near, far = (hessian(gradient, at, times * DIFFERENCE_STEP) for times in (1, 2))
        extrapolated = (4 * near - far) / 3
        finite = torch.isfinite(extrapolated).flatten(1).all(-1)
        # The decomposition refuses matrices that are not finite.
        found = torch.linalg.eigh(torch.where(finite[:, None, None], extrapolated, 0.0))
        return torch.where(finite[:, None], found.eigenvalues, torch.nan), found.eigenvectors

    def _is_certified(self, found: Minimum) -> Bool[Tensor, " replicate"]:
        share = self._eigenvalues / self._eigenvalues.amax(-1, keepdim=True)
        clear = ((share.abs() <= ZERO_UP_TO) | (share > POSITIVE_FROM)).all(-1)
        attained = found.at.abs().amax(-1) <= LARGEST_PARAMETER
        return clear & attained & (found.gradient_norm <= SMALLEST_TOLERANCE * self._scale)

    def _gap(
        self, points: Float[Tensor, "point lower"], owner: Int[Tensor, " point"] | None = None
    ) -> Float[Tensor, " point"]:
        """Return ``J(pi*) - J(lambda)``, resolved far below the rounding of ``J``."""
        optimal = self._tabular_optimum if owner is None else self._tabular_optimum[owner]
        log_policy = self._information.policy_model.table(points)
        return self._exact.control.lower_gap(log_policy, optimal)

    def _upper_value(
        self, points: Float[Tensor, "point lower"], owner: Int[Tensor, " point"] | None = None
    ) -> Float[Tensor, " point"]:
        reward = self._reward if owner is None else self._reward[owner]
        return self._exact.evaluate_upper(
            reward, self._information.policy_model.table(points)
        ).value


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


def status_of(points: Sequence[PenalisedPoint]) -> list[str]:
    """Return ``"ok"`` where all points of a replicate are certified, else ``"not certified"``."""
    certified = torch.stack([point.certified for point in points]).all(0)
    return ["ok" if yes else "not certified" for yes in certified.tolist()]


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
