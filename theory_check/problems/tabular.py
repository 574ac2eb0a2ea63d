"""Anyone's Markov decision process, from arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from theory_check.errors import InvalidArgumentError, require_positive, require_positive_integer
from theory_check.problems.problem import Objective, Problem, require_discount

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
    discount: float = 1.0,
    kl_weight: float = 1.0,
    segment_length: int = 1,
    objective: Objective = "cross_entropy",
    reference_policy: ArrayLike | Tensor | None = None,
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
        Steps of an episode, at least 1.
    features
        Features of the linear reward class, shape (S, A, d); indicator features, that is the
        tabular class, when None.
    discount
        ``gamma`` in (0, 1].
    kl_weight
        ``beta`` > 0.
    segment_length
        Length of compared segments; only the discounted version has segments, so 1 here.
    objective
        ``"cross_entropy"`` or ``"excess_risk"``.
    reference_policy
        ``pi_ref``, shape (S, A) or (H, S, A), strictly positive; uniform when None.
    name
        How the problem calls itself in tables.

    Raises
    ------
    InvalidArgumentError
        Before any work, naming the argument, the value received and the remedy.
    """
    if horizon is None:
        raise InvalidArgumentError(
            "horizon", None, "pass an integer of at least 1: only episodic problems are available"
        )
    require_positive_integer("horizon", horizon)
    if segment_length != 1:
        raise InvalidArgumentError(
            "segment_length",
            segment_length,
            "leave it at 1: an episodic problem compares whole trajectories",
        )
    require_discount(discount)
    require_positive("kl_weight", kl_weight)
    kernel = _as_law("transitions", transitions)
    if kernel.ndim != 3:
        raise InvalidArgumentError(
            "transitions",
            f"shape {tuple(kernel.shape)}",
            "pass an array of shape (states, actions, states)",
        )
    states, actions = kernel.shape[:2]
    if features is None:
        table = torch.eye(states * actions, dtype=torch.float64).reshape(states, actions, -1)
    else:
        table = _as_tensor("features", features)
    return Problem(
        transitions=kernel,
        initial=_as_law("initial", initial),
        features=table,
        true_reward=_as_tensor("true_reward", true_reward),
        horizon=horizon,
        discount=float(discount),
        kl_weight=float(kl_weight),
        objective=objective,
        reference_policy=_reference(reference_policy, horizon, states, actions),
        name=name,
    )


def _reference(given: ArrayLike | Tensor | None, horizon: int, states: int, actions: int) -> Tensor:
    if given is None:
        return torch.full((horizon, states, actions), 1 / actions, dtype=torch.float64)
    policy = _as_law("reference_policy", given)
    if tuple(policy.shape) == (states, actions):
        return policy.expand(horizon, states, actions).clone()
    return policy


def _as_law(argument: str, values: ArrayLike | Tensor) -> Tensor:
    """Return probabilities whose rows sum to 1 to rounding; other rows are refused later."""
    law = _as_tensor(argument, values)
    total = law.sum(-1, keepdim=True)
    return torch.where((total - 1).abs() <= NORMALISATION_TOLERANCE, law / total, law)


def _as_tensor(argument: str, values: ArrayLike | Tensor) -> Tensor:
    try:
        given = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
        if np.iscomplexobj(given):
            raise TypeError("complex numbers")
        return torch.from_numpy(np.array(given, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(
            argument, f"{type(values).__name__} ({error})", "pass a rectangular array of numbers"
        ) from error
