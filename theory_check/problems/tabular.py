"""Anyone's Markov decision process, from arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import torch
from torch import Tensor

from theory_check.arrays import as_floats
from theory_check.errors import (
    InvalidArgumentError,
    require_choice,
    require_non_negative,
    require_scale,
    require_seed,
)
from theory_check.problems.misspecification import MisspecifiedFor, misspecified
from theory_check.problems.problem import Objective, Problem, require_horizon
from theory_check.problems.sizes import require_tables

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

NORMALISATION_TOLERANCE = 1e-6
"""How far from 1 a row of probabilities may sum: the rounding of a float32 softmax."""


def tabular(
    *,
    transitions: ArrayLike | Tensor,
    initial: ArrayLike | Tensor,
    true_reward: ArrayLike | Tensor,
    horizon: int | None,
    features: ArrayLike | Tensor | None = None,
    observations: ArrayLike | Tensor | None = None,
    discount: float = 1.0,
    kl_weight: float = 1.0,
    segment_length: int = 1,
    objective: Objective = "cross_entropy",
    reference_policy: ArrayLike | Tensor | None = None,
    misspecification: float = 0.0,
    misspecified_for: MisspecifiedFor = "features",
    misspecification_seed: int = 0,
    name: str = "tabular",
) -> Problem:
    """Build a problem from arrays (numpy or torch).

    Parameters
    ----------
    transitions
        Kernel ``P(s'|s, a)``, shape (S, A, S). Every row of it, of ``initial`` and of
        ``reference_policy`` sums to 1 within 1e-6, and is divided by its sum.
    initial
        Start law, shape (S,).
    true_reward
        Reward behind the preference labels, shape (S, A).
    horizon
        Steps of an episode, at least 1; None is the discounted version.
    features
        Features of the linear reward class, shape (S, A, d); indicator features, that is the
        tabular class, when None.
    observations
        What log-linear and neural classes see of each state, shape (S, k); an indicator of the
        state when None.
    discount
        ``gamma`` in (0, 1], below 1 for the discounted version.
    kl_weight
        ``beta`` > 0.
    segment_length
        Length L of compared segments of the discounted version; 1 for an episodic problem, which
        compares whole trajectories.
    objective
        ``"cross_entropy"`` or ``"excess_risk"``.
    reference_policy
        ``pi_ref``, shape (S, A) or (H, S, A), H = 1 for the discounted version, strictly positive;
        uniform when None.
    misspecification
        Root mean square over states and actions of a component that is added to ``true_reward`` and is
        orthogonal to every reward of the class named by ``misspecified_for`` and to the constants
        (``docs/theory.md`` section 1.6); 0 for none.
    misspecified_for
        ``"features"``, the linear class, or ``"observations"``, every function of observation and
        action. Classes are chosen after a problem is built, so the one that is meant has to be named.
    misspecification_seed
        Seed of the direction of that component.
    name
        How the problem calls itself in tables.

    Raises
    ------
    InvalidArgumentError
        Before any work, naming the argument, the value received and the remedy.

    Examples
    --------
    >>> problem = tabular(
    ...     transitions=[[[0.5, 0.5], [1.0, 0.0]], [[0.0, 1.0], [0.2, 0.8]]],
    ...     initial=[0.3, 0.7],
    ...     true_reward=[[0.1, -0.5], [0.9, 0.2]],
    ...     horizon=2,
    ... )
    """
    require_horizon(horizon, discount, segment_length)
    require_scale("kl_weight", kl_weight)
    require_non_negative("misspecification", misspecification)
    require_choice("misspecified_for", misspecified_for, get_args(MisspecifiedFor))
    require_seed("misspecification_seed", misspecification_seed)
    kernel = _as_law("transitions", transitions)
    if kernel.ndim != 3:
        raise InvalidArgumentError(
            "transitions",
            f"shape {tuple(kernel.shape)}",
            "pass an array of shape (states, actions, states)",
        )
    states, actions = kernel.shape[:2]
    table = None if features is None else _as_tensor("features", features)
    seen = None if observations is None else _as_tensor("observations", observations)
    require_tables(
        ("transitions", states),
        ("transitions", actions),
        horizon=horizon,
        features=None if table is None else table.shape[-1:].numel(),
        observations=None if seen is None else seen.shape[-1:].numel(),
    )
    if table is None:
        table = torch.eye(states * actions, dtype=torch.float64).reshape(states, actions, -1)
    if seen is None:
        seen = torch.eye(states, dtype=torch.float64)
    problem = Problem(
        transitions=kernel,
        initial=_as_law("initial", initial),
        features=table,
        observations=seen,
        true_reward=_as_tensor("true_reward", true_reward),
        horizon=horizon,
        discount=float(discount),
        kl_weight=float(kl_weight),
        objective=objective,
        reference_policy=_reference(
            reference_policy, 1 if horizon is None else horizon, states, actions
        ),
        segment_length=segment_length,
        name=name,
    )
    reward = misspecified(
        problem.true_reward,
        features=problem.features,
        observations=problem.observations,
        size=misspecification,
        misspecified_for=misspecified_for,
        seed=misspecification_seed,
    )
    return problem if reward is problem.true_reward else replace(problem, true_reward=reward)


def _reference(given: ArrayLike | Tensor | None, steps: int, states: int, actions: int) -> Tensor:
    if given is None:
        return torch.full((steps, states, actions), 1 / actions, dtype=torch.float64)
    policy = _as_law("reference_policy", given)
    if tuple(policy.shape) == (states, actions):
        return policy.expand(steps, states, actions).clone()
    return policy


def _as_law(argument: str, values: ArrayLike | Tensor) -> Tensor:
    """Return probabilities whose rows sum to 1 to rounding; other rows are refused later."""
    law = _as_tensor(argument, values)
    total = law.sum(-1, keepdim=True)
    return torch.where((total - 1).abs() <= NORMALISATION_TOLERANCE, law / total, law)


def _as_tensor(argument: str, values: ArrayLike | Tensor) -> Tensor:
    return torch.from_numpy(as_floats(argument, values))
