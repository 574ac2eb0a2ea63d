"""What is seen of states: random observations, aliased states, coordinates, and features made of them."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory_check.errors import (
    InvalidArgumentError,
    is_integer,
    is_setting,
    require_choice,
    shortened,
)

FeatureSet = Literal["indicator", "observations"]


def random_observations(
    states: int, dimension: int | None, aliases: int, seed: int
) -> NDArray[np.float64] | None:
    """Draw standard normal observations, from a stream that moves nothing else of a problem.

    Parameters
    ----------
    states
        Number of states S.
    dimension
        Length of an observation; an indicator of the state when None.
    aliases
        How many states, the last ones, carry the observations of the first ones.
    seed
        Seed of the problem.

    Returns
    -------
    observations
        Shape (S, dimension), or (S, S - aliases) for indicators; None where nothing was asked for.
    """
    if dimension is None:
        return aliased(np.eye(states)[:, : states - aliases], aliases) if aliases else None
    generator = np.random.default_rng([seed, *b"observations"])
    return aliased(generator.standard_normal((states, dimension)), aliases)


def aliased(values: NDArray[np.float64], aliases: int) -> NDArray[np.float64]:
    """Return rows, one per state, of which the last ``aliases`` repeat the first ones."""
    return np.concatenate([values[: len(values) - aliases], values[:aliases]])


def require_aliases(aliases: object, states: int) -> None:
    """Refuse a number of aliases that is not an integer from 0 to half the number of states."""
    if not is_integer(aliases) or not 0 <= aliases <= states // 2:
        raise InvalidArgumentError(
            "aliases",
            shortened(aliases),
            f"pass an integer from 0 to {states // 2}, half the number of states",
        )


def normalised(fields: ArrayLike) -> NDArray[np.float64]:
    """Return one row of numbers per state with every column mapped affinely onto [-1, 1].

    A column that does not vary becomes 0.
    """
    values = np.asarray(fields, dtype=np.float64)
    lowest, highest = values.min(axis=0), values.max(axis=0)
    width = np.where(highest > lowest, highest - lowest, 1.0)
    centred: NDArray[np.float64] = (2 * values - lowest - highest) / width
    return centred


def feature_table(
    features: FeatureSet, observations: NDArray[np.float64] | None, actions: int
) -> NDArray[np.float64] | None:
    """Return features of linear rewards.

    Parameters
    ----------
    features
        ``"indicator"``: the tabular class. ``"observations"``: one weight per action for a constant and
        for every entry of the observation.
    observations
        Shape (S, k); None for indicators of the state, of which both classes are the tabular one.
    actions
        Number of actions A.

    Returns
    -------
    features
        Shape (S, A, A (k + 1)), or None for the tabular class.
    """
    require_choice("features", features, get_args(FeatureSet))
    if features == "indicator" or observations is None:
        return None
    states = len(observations)
    seen = np.concatenate([np.ones((states, 1)), observations], axis=1)
    table: NDArray[np.float64] = np.einsum("ab,sk->sabk", np.eye(actions), seen)
    return table.reshape(states, actions, -1)


def require_probability(argument: str, value: object) -> None:
    """Refuse anything that is not a number in [0, 1]."""
    if not is_setting(value) or not 0 <= value <= 1:
        raise InvalidArgumentError(argument, shortened(value), "pass a number in [0, 1]")
