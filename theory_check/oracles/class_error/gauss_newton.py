"""Fitting networks by Levenberg and Marquardt's method, all replicates in one batched program.

Levenberg-Marquardt with the generalised Gauss-Newton matrix ``J^T H J``, where J is the Jacobian of
the outputs and H the curvature of the objective in them (Schraudolph, Neural Computation 2002); the
damping follows Nielsen's rule (Madsen, Nielsen and Tingleff, "Methods for non-linear least squares
problems", 2004, algorithm 3.16). Hundreds of small fits one by one would spend their time in calls.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from theory_check.models.network_jacobian import output_jacobian
from theory_check.models.stacked_mlp import StackedMLP
from theory_check.oracles.class_error.class_bias import OutputObjective
from theory_check.oracles.solutions.damped_solve import damped_solve

FIRST_DAMPING = 1e-2
# Relative to the largest diagonal entry: rounding of J^T H J is amplified by its reciprocal.
SMALLEST_DAMPING = 1e-11
LARGEST_DAMPING = 1e12


# Undamped steps are solved for every so many iterations only: they cost as much as the damped ones.
CHECK_EVERY = 10


@dataclass(frozen=True, eq=False)
class NetworkFit:
    """Where a fit ended, and what tells how far that is from a minimum nearby.

    Attributes
    ----------
    parameters
        Shape (replicate, parameter).
    value
        The objective, shape (replicate,).
    gradient_norm
        Norm of its exact gradient in the parameters, shape (replicate,).
    predicted_decrease
        What an undamped Gauss-Newton step would gain by its quadratic model, shape (replicate,), in
        the units of the objective. Directions in which the outputs hardly move inflate it, and of
        other valleys it says nothing.
    late_decrease
        What the second half of the allowed iterations gained, shape (replicate,); 0 where it was not
        needed.
    """

    parameters: Float[Tensor, "replicate parameter"]
    value: Float[Tensor, " replicate"]
    gradient_norm: Float[Tensor, " replicate"]
    predicted_decrease: Float[Tensor, " replicate"]
    late_decrease: Float[Tensor, " replicate"]


def fit_networks(
    network: StackedMLP,
    objective: OutputObjective,
    start: Float[Tensor, "replicate parameter"],
    *,
    iterations: int,
    value_tolerance: float,
    decrease_tolerance: float,
) -> NetworkFit:
    """Minimise an objective of the outputs, from one start for each replicate.

    Parameters
    ----------
    network
        The networks.
    objective
        Of their outputs.
    start
        Parameters, shape (replicate, parameter).
    iterations
        Largest number of steps, rejected ones included.
    value_tolerance
        A replicate stops when its value is at most this.
    decrease_tolerance
        Or when the decrease predicted for an undamped step is at most this share of its value.
    """
    parameters = start.clone()
    value = objective.value(network.forward(start).flatten(1))
    halfway = value.clone()
    gradient_norm, predicted = torch.zeros_like(value), torch.zeros_like(value)
    damping, growth = torch.full_like(value, FIRST_DAMPING), torch.full_like(value, 2.0)
    active = torch.arange(len(start), device=start.device)
    for iteration in range(iterations + 1):
        if iteration == iterations // 2:
            halfway = value.clone()
        last = iteration == iterations
        going = (value[active] > value_tolerance) & (damping[active] < LARGEST_DAMPING)
        finished = active if last else active[~going]
        equations = _normal_equations(network, objective.select(active), parameters[active])
        if last or len(finished) or iteration % CHECK_EVERY == 0:
            gradient_norm[active] = equations.gradient.norm(dim=-1)
            predicted[active] = equations.predicted_decrease()
            going &= predicted[active] > decrease_tolerance * value[active]
        if last or not bool(going.any()):
            break
        active, equations = active[going], equations.select(going)
        step = equations.step(damping[active])
        trial = parameters[active] + step
        found = objective.select(active).value(network.forward(trial).flatten(1))
        gain = value[active] - found
        ratio = gain / equations.modelled_decrease(step).clamp_min(1e-300)
        accepted = torch.isfinite(found) & (gain > 0)
        parameters[active] = torch.where(accepted[:, None], trial, parameters[active])
        value[active] = torch.where(accepted, found, value[active])
        shrunk = (damping[active] * (1 - (2 * ratio - 1) ** 3).clamp_min(1 / 3)).clamp_min(
            SMALLEST_DAMPING
        )
        damping[active] = torch.where(accepted, shrunk, damping[active] * growth[active])
        growth[active] = torch.where(accepted, 2.0, 2 * growth[active])
    late = torch.where(halfway > value, halfway - value, 0.0)
    return NetworkFit(parameters, value, gradient_norm, predicted, late)


@dataclass(frozen=True, eq=False)
class _NormalEquations:
    """Gradient in the parameters and ``J^T H J``, and the steps that they give."""

    gradient: Float[Tensor, "replicate parameter"]
    matrix: Float[Tensor, "replicate parameter parameter"]

    def select(self, replicates: Bool[Tensor, " replicate"]) -> _NormalEquations:
        return _NormalEquations(self.gradient[replicates], self.matrix[replicates])

    def step(self, damping: Float[Tensor, " replicate"]) -> Float[Tensor, "replicate parameter"]:
        """Return the damped step; damping is relative to the largest diagonal entry."""
        diagonal = self.matrix.diagonal(dim1=-2, dim2=-1)
        shift = damping * diagonal.amax(-1).clamp_min(1e-300)
        return -damped_solve(self.matrix, self.gradient, shift)

    def modelled_decrease(self, step: Tensor) -> Float[Tensor, " replicate"]:
        curved = (self.matrix @ step[..., None]).squeeze(-1)
        return -(self.gradient * step).sum(-1) - 0.5 * (step * curved).sum(-1)

    def predicted_decrease(self) -> Float[Tensor, " replicate"]:
        undamped = self.step(torch.full_like(self.gradient[:, 0], SMALLEST_DAMPING))
        return -0.5 * (self.gradient * undamped).sum(-1)


def _normal_equations(
    network: StackedMLP, objective: OutputObjective, parameters: Tensor
) -> _NormalEquations:
    local = objective.local_model(network.forward(parameters).flatten(1))
    jacobian = output_jacobian(network, parameters).flatten(1, 2)
    gradient = (local.gradient[:, None] @ jacobian).squeeze(1)
    return _NormalEquations(gradient, jacobian.mT @ (local.curvature @ jacobian))
