"""The least value of an objective that networks of one size reach, searched from several starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from theory_check.models.output_networks import OutputNetwork, outputs_of
from theory_check.oracles.optima.class_bias import OutputObjective
from theory_check.oracles.solutions.newton import damped_solve
from theory_check.randomness import standard_normals

FIRST_DAMPING = 1e-2
# Relative to the largest diagonal entry: rounding of J^T H J is amplified by its reciprocal.
SMALLEST_DAMPING = 1e-11
LARGEST_DAMPING = 1e12

# Parameters for each output from which on steps are solved for in the space of the outputs.
MANY_PARAMETERS = 4

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
    network: OutputNetwork,
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


@dataclass(frozen=True, eq=False)
class _OutputEquations:
    """The same steps by systems of the size of the outputs, for networks with far more parameters.

    ``(J^T H J + c)^-1 J^T = J^T (H J J^T + c)^-1``.
    """

    gradient: Float[Tensor, "replicate parameter"]
    in_outputs: Float[Tensor, "replicate entry"]
    curvature: Float[Tensor, "replicate entry entry"]
    jacobian: Float[Tensor, "replicate entry parameter"]

    def select(self, replicates: Bool[Tensor, " replicate"]) -> _OutputEquations:
        return _OutputEquations(*(each[replicates] for each in vars(self).values()))

    def step(self, damping: Float[Tensor, " replicate"]) -> Float[Tensor, "replicate parameter"]:
        """Return the damped step; damping is relative to the largest diagonal entry of ``J^T H J``."""
        curved = self.curvature @ self.jacobian
        diagonal = (curved * self.jacobian).sum(1)
        shift = damping * diagonal.amax(-1).clamp_min(1e-300)
        matrix = curved @ self.jacobian.mT
        matrix.diagonal(dim1=-2, dim2=-1).add_(shift[:, None])
        solved: Tensor = torch.linalg.solve_ex(matrix, self.in_outputs[..., None]).result
        return -(self.jacobian.mT @ solved).squeeze(-1)

    def modelled_decrease(self, step: Tensor) -> Float[Tensor, " replicate"]:
        moved = self.jacobian @ step[..., None]
        return -(self.gradient * step).sum(-1) - 0.5 * (moved.mT @ self.curvature @ moved).flatten()

    def predicted_decrease(self) -> Float[Tensor, " replicate"]:
        undamped = self.step(torch.full_like(self.gradient[:, 0], SMALLEST_DAMPING))
        return -0.5 * (self.gradient * undamped).sum(-1)


def _normal_equations(
    network: OutputNetwork, objective: OutputObjective, parameters: Tensor
) -> _NormalEquations | _OutputEquations:
    local = objective.local_model(network.forward(parameters).flatten(1))
    jacobian = network.jacobian(parameters).flatten(1, 2)
    gradient = (local.gradient[:, None] @ jacobian).squeeze(1)
    if jacobian.shape[2] > MANY_PARAMETERS * jacobian.shape[1]:
        return _OutputEquations(gradient, local.gradient, local.curvature, jacobian)
    return _NormalEquations(gradient, jacobian.mT @ (local.curvature @ jacobian))


# Fits stop below this value, or where a step promises less than a thousandth of the value.
VALUE_TOLERANCE = 1e-10
DECREASE_TOLERANCE = 1e-3
# Imitation only has to bring a start near its target, and is stopped early.
IMITATION_ITERATIONS = 60
IMITATION_DECREASE = 1e-2


@dataclass(frozen=True)
class Search:
    """How hard a floor is searched for.

    Attributes
    ----------
    restarts
        Random starts of each seed and size.
    iterations
        Largest number of steps of a fit.
    """

    restarts: int
    iterations: int


@dataclass(frozen=True, eq=False)
class ClassFloor:
    """The best fits of one size, one for each seed.

    Attributes
    ----------
    network
        The networks.
    best
        Their parameters and where their fits ended, one replicate per seed.
    start
        How the best fit of each seed started: ``"random"``, ``"imitation"`` or ``"nested"``.
    median_random
        Median over the random starts, imitating ones among them, shape (seed,).
    """

    network: OutputNetwork
    best: NetworkFit
    start: tuple[str, ...]
    median_random: Float[Tensor, " seed"]


def class_floors(
    models: Sequence[Any],
    objective: OutputObjective,
    imitation: OutputObjective | None,
    seeds: Sequence[int],
    search: Search,
) -> Iterator[ClassFloor]:
    """Yield the floor of every model in turn.

    Parameters
    ----------
    models
        Models of networks in ascending order, of which each contains the one before it.
    objective
        Of the outputs, one replicate per seed.
    imitation
        What every other random start minimises first; None for no such starts.
    seeds
        Their streams draw the starts.
    search
        How hard to search.
    """
    before: ClassFloor | None = None
    for model in models:
        network = outputs_of(model)
        # Replicates are ordered (seed, start), the nested start last.
        fresh = model.initial(_noise(seeds, search.restarts + 1, model.parameters))
        fresh = fresh.reshape(len(seeds), search.restarts + 1, -1)
        starts, names = fresh[:, :-1].clone(), ["random"] * search.restarts
        if imitation is not None:
            names[1::2] = ["imitation"] * len(names[1::2])
            imitating = starts[:, 1::2]
            found = fit_networks(
                network,
                imitation.select(_repeated(len(seeds), imitating.shape[1])),
                imitating.flatten(0, 1),
                iterations=IMITATION_ITERATIONS,
                value_tolerance=VALUE_TOLERANCE,
                decrease_tolerance=IMITATION_DECREASE,
            )
            starts[:, 1::2] = found.parameters.reshape(imitating.shape)
        if before is not None:
            nested = network.grown(before.network, before.best.parameters, fresh[:, -1])
            starts, names = torch.cat([starts, nested[:, None]], dim=1), [*names, "nested"]
        fit = fit_networks(
            network,
            objective.select(_repeated(len(seeds), len(names))),
            starts.flatten(0, 1),
            iterations=search.iterations,
            value_tolerance=VALUE_TOLERANCE,
            decrease_tolerance=DECREASE_TOLERANCE,
        )
        values = fit.value.reshape(len(seeds), len(names))
        # A value that is not a number is worse than any.
        winner = torch.where(torch.isnan(values), torch.inf, values).argmin(1)
        before = ClassFloor(
            network=network,
            best=_rows(fit, torch.arange(len(seeds)) * len(names) + winner),
            start=tuple(names[index] for index in winner.tolist()),
            median_random=values[:, : search.restarts].median(1).values,
        )
        yield before


def _noise(
    seeds: Sequence[int], starts: int, parameters: int
) -> Float[Tensor, "replicate parameter"]:
    """Draw standard normal noise from each seed's own stream."""
    draws = standard_normals("network starts", seeds, (starts, parameters))
    return torch.from_numpy(np.concatenate(draws))


def _repeated(seeds: int, times: int) -> Int[Tensor, " replicate"]:
    return torch.arange(seeds).repeat_interleave(times)


def _rows(fit: NetworkFit, chosen: Int[Tensor, " seed"]) -> NetworkFit:
    return replace(fit, **{name: entry[chosen] for name, entry in vars(fit).items()})
