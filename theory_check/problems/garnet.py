"""Garnet problems: random sparse Markov decision processes.

Source: Archibald, McKinnon and Thomas, "On the generation of Markov decision processes", 1995: every
state and action leads to ``branching`` distinct successors, with probabilities given by the
spacings of uniform cut points.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from theory_check.errors import (
    InvalidArgumentError,
    require_positive_integer,
    require_scale,
    require_seed,
)
from theory_check.problems.misspecification import MisspecifiedFor
from theory_check.problems.observations import aliased, random_observations, require_aliases
from theory_check.problems.problem import Objective, Problem, require_horizon
from theory_check.problems.sizes import require_tables
from theory_check.problems.tabular import tabular


def garnet(
    *,
    states: int,
    actions: int,
    horizon: int | None,
    features: int | None = None,
    branching: int | None = None,
    discount: float = 1.0,
    kl_weight: float = 1.0,
    segment_length: int = 1,
    objective: Objective = "cross_entropy",
    reward_scale: float = 1.0,
    observations: int | None = None,
    aliases: int = 0,
    misspecification: float = 0.0,
    misspecified_for: MisspecifiedFor = "features",
    seed: int = 0,
) -> Problem:
    """Draw a Garnet problem with random features and a true reward in their span.

    Parameters
    ----------
    states, actions, horizon
        Sizes S, A and H.
    features
        Dimension of the reward features; None gives the tabular class.
    branching
        Successors of every state and action; 2, or 1 where there is one state, when None.
    discount
        ``gamma`` in (0, 1].
    kl_weight
        ``beta`` > 0.
    segment_length
        As in :func:`theory_check.problems.tabular`.
    objective
        ``"cross_entropy"`` or ``"excess_risk"``.
    reward_scale
        Standard deviation of the true reward over states and actions, in expectation.
    observations
        Dimension of standard normal observations of the states; indicators of the state when None.
    aliases
        The last ``aliases`` states, at most half, carry the observations of the first ones, so that
        classes that see observations only cannot tell them apart; their features and true reward are
        theirs too, so that misspecification alone decides how far from such classes the reward is.
    misspecification, misspecified_for
        Size of a component of the true reward outside a class, as in
        :func:`theory_check.problems.tabular`.
    seed
        Seed of the problem's own generators; it does not affect any solver's randomness. Observations
        and misspecification are drawn apart: they move nothing else of the problem.

    Examples
    --------
    >>> problem = garnet(states=2, actions=2, horizon=2)
    """
    require_positive_integer("states", states)
    require_positive_integer("actions", actions)
    successors = min(2, states) if branching is None else branching
    require_positive_integer("branching", successors)
    require_seed("seed", seed)
    require_aliases(aliases, states)
    if successors > states:
        raise InvalidArgumentError(
            "branching", successors, f"pass an integer between 1 and states = {states}"
        )
    require_horizon(horizon, discount, segment_length)
    require_drawn(features, observations, reward_scale)
    require_tables(
        ("states", states),
        ("actions", actions),
        horizon=horizon,
        features=features,
        observations=observations,
    )
    generator = np.random.default_rng([seed, states, actions, successors])
    kernel = np.zeros((states, actions, states))
    for state in range(states):
        for action in range(actions):
            targets = generator.choice(states, size=successors, replace=False)
            cuts = np.sort(generator.random(successors - 1))
            kernel[state, action, targets] = np.diff(cuts, prepend=0.0, append=1.0)
    initial = generator.dirichlet(np.ones(states))
    table, reward = random_rewards(generator, states, actions, features, reward_scale)
    seen = random_observations(states, observations, aliases, seed)
    if table is not None:
        table = aliased(table, aliases)
    return tabular(
        transitions=kernel,
        initial=initial,
        features=table,
        true_reward=aliased(reward, aliases),
        horizon=horizon,
        discount=discount,
        kl_weight=kl_weight,
        segment_length=segment_length,
        objective=objective,
        observations=seen,
        misspecification=misspecification,
        misspecified_for=misspecified_for,
        misspecification_seed=seed,
        name=f"garnet({states}x{actions}, horizon {horizon}, seed {seed})",
    )


def require_drawn(features: object, observations: object, reward_scale: object) -> None:
    """Refuse what random rewards and observations cannot be drawn with."""
    for argument, value in (("features", features), ("observations", observations)):
        if value is not None:
            require_positive_integer(argument, value)
    require_scale("reward_scale", reward_scale)


def random_rewards(
    generator: np.random.Generator,
    states: int,
    actions: int,
    features: int | None,
    reward_scale: float,
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64]]:
    """Draw standard normal features and a reward in their span.

    Returns
    -------
    features, true_reward
        Shapes (states, actions, features), or None for the tabular class, and (states, actions).
    """
    if features is None:
        return None, reward_scale * generator.standard_normal((states, actions))
    table = generator.standard_normal((states, actions, features))
    direction = generator.standard_normal(features) / np.sqrt(features)
    return table, reward_scale * table @ direction
