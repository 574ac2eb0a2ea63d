"""Units of a method's constants on a problem, measured exactly at starts that no reported run uses."""

from __future__ import annotations

import math
from collections.abc import Sequence

from theory_check.oracles.instruments import instruments_for
from theory_check.oracles.solutions.curvature import dominant_curvature, require_curvature
from theory_check.problems import Problem
from theory_check.problems.stored import problem_identity
from theory_check.solvers.method import Scales

NOISE_REPEATS, NOISE_ROLLOUTS = 4, 1000
"""Batches, and rollouts of each, that the unit of batches is measured with: to about 10 %."""

SMALL_SIGMA = 1e-4
"""At which the slope of a penalty bias is measured where there is no KL weight."""

_KNOWN: dict[tuple[object, ...], tuple[Scales, float]] = {}
"""What was measured in this process: the cells of one problem have objects of their own."""


def units_of(
    problem: Problem, seeds: Sequence[int], initial_scale: float, accuracy: float | None = None
) -> tuple[Scales, float]:
    """Return the units of the constants, and that of accuracies (``docs/theory.md`` section 7.1).

    Parameters
    ----------
    problem
        The problem.
    seeds
        Starts at which they are measured.
    initial_scale
        Standard deviation of the initial reward parameters.
    accuracy
        The unit of accuracies, squared norm; the median ``‖∇Phi‖²`` of the starts when absent.

    Raises
    ------
    InvalidArgumentError
        If a level does not depend on its parameters, as with a single action.
    """
    identity = problem_identity(problem)
    if identity is None:
        return _measured(problem, seeds, initial_scale, accuracy)
    classes = problem.reward_class, problem.policy_class
    known = *identity, *classes, tuple(seeds), initial_scale, accuracy
    if known not in _KNOWN:
        _KNOWN[known] = _measured(problem, seeds, initial_scale, accuracy)
    return _KNOWN[known]


def _measured(
    problem: Problem, seeds: Sequence[int], initial_scale: float, accuracy: float | None
) -> tuple[Scales, float]:
    instruments = instruments_for(problem, seeds)
    upper = instruments.initial_upper(seeds, initial_scale)
    lower = instruments.initial_lower(seeds)
    truth, information = instruments.truth, instruments.information
    outer = dominant_curvature(truth.hypergradient, upper)
    inner = dominant_curvature(lambda point: information.lower_gradient(upper, point, 1), lower)
    # Of two independent batches at one policy the difference is noise alone.
    sampled, noise = instruments.sampled, 0.0
    for _ in range(NOISE_REPEATS):
        difference = sampled.penalty_difference(upper, lower, lower, NOISE_ROLLOUTS, "independent")
        noise += float(difference.square().sum(-1).mean()) * NOISE_ROLLOUTS / 2
    if accuracy is None:
        accuracy = float(truth.hypergradient(upper).square().sum(-1).median())
    sigma = getattr(problem, "kl_weight", None)
    if sigma is None:
        moved = truth.surrogate_gradient(upper, SMALL_SIGMA) - truth.hypergradient(upper)
        bias = float(moved.norm(dim=-1).nanmedian()) / SMALL_SIGMA
        sigma = math.sqrt(accuracy) / bias if bias > 0 else 1.0
    scales = Scales(
        outer_step=1 / require_curvature(problem.name, "upper level", float(outer.max())),
        inner_step=1 / require_curvature(problem.name, "lower level", float(inner.max())),
        kl_weight=getattr(problem, "kl_weight", 1.0),
        sigma=sigma,
        batch=noise / NOISE_REPEATS / accuracy,
    )
    return scales, accuracy
