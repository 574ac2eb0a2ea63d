"""RiverSwim: a chain against a current, with a small reward downstream and a large one upstream.

Source: Strehl and Littman, "An analysis of model-based interval estimation for Markov decision
processes", Journal of Computer and System Sciences 74, 2008; six states there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from theory_check.errors import InvalidArgumentError, require_positive_integer, require_scale
from theory_check.problems.misspecification import MisspecifiedFor
from theory_check.problems.observations import FeatureSet, feature_table, normalised
from theory_check.problems.problem import Objective, Problem, require_horizon
from theory_check.problems.sizes import require_tables
from theory_check.problems.tabular import tabular

ADVANCE, STAY, DRIFT = 0.3, 0.6, 0.1
"""Probabilities of a swim upstream between the ends; at either end what is impossible is a stay
(0.7, 0.3 at the downstream end; 0.3 stay, 0.7 drift at the upstream end)."""

SMALL_REWARD, LARGE_REWARD = 5.0, 10_000.0


def riverswim(
    *,
    states: int = 6,
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
    """Build RiverSwim with actions 0, downstream, and 1, upstream.

    Downstream moves one state down, with certainty. Upstream moves up with probability 0.3, stays with
    0.6 and drifts down with 0.1; in the first state it moves up with 0.3 and stays with 0.7; in the last
    it stays with 0.3 and drifts down with 0.7. Runs start in the second or third state, equally likely.
    *True reward*: 5 for going downstream in the first state, 10000 for a swim upstream that keeps the
    last, in expectation 3000, both divided by 10000. *Optimal value*: computed by
    :func:`theory_check.oracles.control.hard_control.optimal_values`; no closed form is declared.

    Parameters
    ----------
    states
        Length of the river, at least 3.
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
    require_positive_integer("states", states)
    if states < 3:
        raise InvalidArgumentError("states", states, "pass at least 3: runs start in the middle")
    require_scale("reward_scale", reward_scale)
    require_horizon(horizon, discount, segment_length)
    require_tables(("states", states), ("actions", 2), horizon=horizon)
    last = states - 1
    kernel = np.zeros((states, 2, states))
    for state in range(states):
        below, above = max(state - 1, 0), min(state + 1, last)
        kernel[state, 0, below] = 1.0
        if state == last:
            kernel[state, 1, [below, state]] = 1 - ADVANCE, ADVANCE
        else:
            for target, probability in ((below, DRIFT), (state, STAY), (above, ADVANCE)):
                kernel[state, 1, target] += probability
    reward = np.zeros((states, 2))
    reward[0, 0] = SMALL_REWARD / LARGE_REWARD
    reward[last, 1] = ADVANCE
    initial = np.zeros(states)
    initial[[1, 2]] = 0.5
    observations = normalised(np.arange(states)[:, None])
    return tabular(
        transitions=kernel,
        initial=initial,
        true_reward=reward_scale * reward,
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
        name=f"riverswim({states})",
    )
