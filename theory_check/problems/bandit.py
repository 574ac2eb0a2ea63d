"""Contextual bandits: one-turn alignment, episodes of a single step."""

from __future__ import annotations

import numpy as np

from theory_check.errors import require_positive_integer, require_seed
from theory_check.problems.garnet import random_rewards, require_drawn
from theory_check.problems.misspecification import MisspecifiedFor
from theory_check.problems.observations import aliased, random_observations, require_aliases
from theory_check.problems.problem import Objective, Problem
from theory_check.problems.sizes import require_tables
from theory_check.problems.tabular import tabular


def bandit(
    *,
    contexts: int,
    actions: int,
    features: int | None = None,
    kl_weight: float = 1.0,
    objective: Objective = "cross_entropy",
    reward_scale: float = 1.0,
    observations: int | None = None,
    aliases: int = 0,
    misspecification: float = 0.0,
    misspecified_for: MisspecifiedFor = "features",
    seed: int = 0,
) -> Problem:
    """Draw a contextual bandit with random features and a true reward in their span.

    Parameters
    ----------
    contexts
        Number of contexts (states), drawn uniformly at the start of an episode.
    actions
        Number of actions.
    features
        Dimension of the reward features; None gives the tabular class.
    kl_weight
        ``beta`` > 0.
    objective
        ``"cross_entropy"`` or ``"excess_risk"``.
    reward_scale
        Standard deviation of the true reward over states and actions, in expectation.
    observations, aliases, misspecification, misspecified_for
        As in :func:`theory_check.problems.garnet`; states are contexts.
    seed
        Seed of the problem's own generators; it does not affect any solver's randomness.

    Examples
    --------
    >>> problem = bandit(contexts=2, actions=3)
    """
    require_positive_integer("contexts", contexts)
    require_positive_integer("actions", actions)
    require_seed("seed", seed)
    require_aliases(aliases, contexts)
    require_drawn(features, observations, reward_scale)
    require_tables(
        ("contexts", contexts),
        ("actions", actions),
        horizon=1,
        features=features,
        observations=observations,
    )
    generator = np.random.default_rng([seed, contexts, actions])
    table, reward = random_rewards(generator, contexts, actions, features, reward_scale)
    seen = random_observations(contexts, observations, aliases, seed)
    if table is not None:
        table = aliased(table, aliases)
    stay = np.repeat(np.eye(contexts)[:, None, :], actions, axis=1)
    return tabular(
        transitions=stay,
        initial=np.full(contexts, 1 / contexts),
        features=table,
        true_reward=aliased(reward, aliases),
        horizon=1,
        kl_weight=kl_weight,
        objective=objective,
        observations=seen,
        misspecification=misspecification,
        misspecified_for=misspecified_for,
        misspecification_seed=seed,
        name=f"bandit({contexts}x{actions}, seed {seed})",
    )
