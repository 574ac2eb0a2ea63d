"""The N-chain: a large reward at the far end, a small one for giving up.

Source: Strens, "A Bayesian framework for reinforcement learning", ICML 2000 (five states, slip 0.2,
rewards 10 and 2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory_check.errors import (
    InvalidArgumentError,
    require_finite,
    require_positive_integer,
    require_scale,
)
from theory_check.problems.misspecification import MisspecifiedFor
from theory_check.problems.observations import (
    FeatureSet,
    feature_table,
    normalised,
    require_probability,
)
from theory_check.problems.problem import Objective, Problem, require_horizon
from theory_check.problems.sizes import require_tables
from theory_check.problems.tabular import tabular


def chain(
    *,
    length: int = 5,
    slip: float = 0.2,
    end_reward: float = 1.0,
    return_reward: float = 0.2,
    horizon: int | None = None,
    discount: float = 0.95,
    kl_weight: float = 0.1,
    segment_length: int = 1,
    objective: Objective = "cross_entropy",
    reference_policy: ArrayLike | None = None,
    reward_scale: float = 1.0,
    features: FeatureSet = "indicator",
    misspecification: float = 0.0,
    misspecified_for: MisspecifiedFor = "features",
    misspecification_seed: int = 0,
) -> Problem:
    """Build a chain with actions 0, forward, and 1, back to the first state; runs start there.

    *True reward*: ``end_reward`` for a forward move in the last state, which stays there, and
    ``return_reward`` for every move back, in expectation over slips. *Optimal value*: in closed form,
    :func:`forward_values`, where going forward is optimal everywhere.

    Parameters
    ----------
    length
        Number of states, at least 2.
    slip
        Probability in [0, 1] that a move does what the other action does.
    end_reward, return_reward
        Finite numbers of the true reward.
    horizon
        Steps of an episode; None is the discounted version.
    discount, kl_weight, segment_length, objective, reference_policy
        As in :func:`theory_check.problems.tabular`.
    reward_scale
        Factor > 0 of the true reward.
    features
        Of the linear class: ``"indicator"`` is the tabular class; ``"observations"`` has one weight per
        action for a constant and the position.
    misspecification, misspecified_for, misspecification_seed
        As in :func:`theory_check.problems.tabular`.

    Notes
    -----
    The observation is the position, normalised to [-1, 1].
    """
    require_positive_integer("length", length)
    if length < 2:
        raise InvalidArgumentError("length", length, "pass at least 2")
    require_probability("slip", slip)
    require_finite("end_reward", end_reward)
    require_finite("return_reward", return_reward)
    require_scale("reward_scale", reward_scale)
    require_horizon(horizon, discount, segment_length)
    require_tables(("length", length), ("actions", 2), horizon=horizon)
    effect = np.zeros((length, 2, length))
    effect[np.arange(length), 0, np.minimum(np.arange(length) + 1, length - 1)] = 1.0
    effect[:, 1, 0] = 1.0
    earned = np.zeros((length, 2))
    earned[-1, 0] = end_reward
    earned[:, 1] = return_reward
    observations = normalised(np.arange(length)[:, None])
    return tabular(
        transitions=(1 - slip) * effect + slip * effect[:, ::-1],
        initial=np.eye(length)[0],
        true_reward=reward_scale * ((1 - slip) * earned + slip * earned[:, ::-1]),
        features=feature_table(features, observations, 2),
        observations=observations,
        horizon=horizon,
        discount=discount,
        kl_weight=kl_weight,
        segment_length=segment_length,
        objective=objective,
        reference_policy=reference_policy,
        misspecification=misspecification,
        misspecified_for=misspecified_for,
        misspecification_seed=misspecification_seed,
        name=f"chain({length}, slip {slip:g})",
    )


def forward_values(
    *,
    length: int,
    slip: float,
    discount: float,
    end_reward: float = 1.0,
    return_reward: float = 0.2,
) -> NDArray[np.float64]:
    """Return the discounted value of going forward everywhere, for every state.

    With ``p`` the slip, ``q = gamma (1 - p)`` and ``k`` moves to the end, ``V`` solves
    ``V(s) = p (small + gamma V(0)) + q V(s+1)`` and ``V(end) = p (small + gamma V(0)) + (1 - p) large +
    q V(end)``, that is

        V(s) = [ p (small + gamma V(0)) + (1 - p) q^k large ] / (1 - q)
        V(0) = [ p small + (1 - p) q^(length - 1) large ] / (1 - gamma).

    It is optimal exactly where ``V(s)`` is at least the value of one move back,
    ``(1 - p) (small + gamma V(0)) + p (gamma V(s+1))``, in every state, with ``large + gamma V(end)`` in
    the last bracket at the end. Without slip, that is ``gamma^(length - 1) large >= small``.

    Returns
    -------
    values
        Shape (length,), in units of discounted reward.
    """
    onward = discount * (1 - slip)
    reached = (1 - slip) * onward ** np.arange(length - 1, -1, -1) * end_reward
    first = (slip * return_reward + reached[0]) / (1 - discount)
    values: NDArray[np.float64] = (slip * (return_reward + discount * first) + reached) / (
        1 - onward
    )
    return values
