"""Rewards outside a class: a component of declared size that no member of the class can represent.

``docs/theory.md`` section 1.6. A class is given by the linear space that contains it, as a basis on pairs
of state and action; the component is orthogonal to that space and to the constants, which comparisons
do not see.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from theory_check.errors import InvalidArgumentError, require_non_negative

MisspecifiedFor = Literal["features", "observations"]
"""The class that the true reward lies outside of (``docs/theory.md`` section 1.6)."""

RANK_TOLERANCE = 1e-10
"""Singular values below this share of the largest count as zero."""


def outside_component(
    basis: Float[Tensor, "pair dimension"], size: float, seed: int
) -> Float[Tensor, " pair"] | None:
    """Return a random component orthogonal to a space and to the constants.

    Parameters
    ----------
    basis
        Columns that span the space, one row for every pair of state and action.
    size
        Root mean square of the component over the pairs.
    seed
        Seed of its direction, uniform on the sphere of the orthogonal complement.

    Returns
    -------
    component
        None where the space and the constants fill everything, so that no component exists.
    """
    inside = _orthonormal(basis)
    pairs = len(basis)
    if inside.shape[1] == pairs:
        return None
    # A stream of its own, so that the draw moves nothing else of a problem.
    generator = np.random.default_rng([seed, *b"misspecification"])
    direction = torch.from_numpy(generator.standard_normal(pairs))
    for _ in range(2):  # the second projection removes what rounding left of the first
        direction = direction - inside @ (inside.T @ direction)
    return size * direction / _root_mean_square(direction)


def distance_to_span(reward: Float[Tensor, "s a"], basis: Float[Tensor, "pair dimension"]) -> float:
    """Return the root mean square of a reward's component outside a space and the constants."""
    inside = _orthonormal(basis)
    target = reward.reshape(-1)
    return float(_root_mean_square(target - inside @ (inside.T @ target)))


def observation_basis(observations: Float[Tensor, "s k"], actions: int) -> Float[Tensor, "pair d"]:
    """Return indicators of (observation, action): every function of what a class may see."""
    _, group = torch.unique(observations, dim=0, return_inverse=True)
    distinct = torch.eye(int(group.max()) + 1, dtype=observations.dtype)[group]
    return torch.kron(distinct, torch.eye(actions, dtype=observations.dtype))


def misspecified(
    reward: Float[Tensor, "s a"],
    *,
    features: Float[Tensor, "s a parameter"],
    observations: Float[Tensor, "s k"],
    size: float,
    misspecified_for: MisspecifiedFor,
    seed: int,
    present: Bool[Tensor, "s a"] | None = None,
) -> Float[Tensor, "s a"]:
    """Return a reward plus a component of root mean square ``size`` outside a class.

    Parameters
    ----------
    reward
        The reward to which the component is added.
    features, observations
        What linear classes, and classes of observations, see.
    size
        At least 0; 0 returns the reward unchanged.
    misspecified_for
        ``"features"``: orthogonal to every linear reward. ``"observations"``: orthogonal to every
        function of observation and action, hence to every neural reward.
    seed
        Seed of the component's direction.
    present
        Which actions exist: the component is 0 elsewhere, and has its size over them; all when None.

    Raises
    ------
    InvalidArgumentError
        If the size is not a number of at least 0, or the class contains every reward.
    """
    require_non_negative("misspecification", size)
    if size == 0:
        return reward
    actions = reward.shape[1]
    if misspecified_for == "features":
        basis = features.flatten(0, 1)
        complete = (
            "the linear class of these features contains every reward",
            "pass fewer features than pairs of state and action, or misspecified_for="
            "'observations' with states that share an observation",
        )
    else:
        basis = observation_basis(observations, actions)
        complete = (
            "every state has an observation of its own, so a function of it can be any reward",
            "make states share observations (aliases=1 or more, or equal rows of observations), or "
            "pass misspecified_for='features' with few features",
        )
    exists = slice(None) if present is None else present.reshape(-1)
    component = outside_component(basis[exists], float(size), seed)
    if component is None:
        received, remedy = complete
        raise InvalidArgumentError("misspecification", f"{size}, but {received}", remedy)
    moved = reward.flatten().clone()
    moved[exists] += component
    return moved.reshape(reward.shape)


def _orthonormal(basis: Tensor) -> Float[Tensor, "pair rank"]:
    """Return an orthonormal basis of a space and the constants together."""
    design = torch.cat([basis, torch.ones_like(basis[:, :1])], dim=1)
    left, sizes, _ = torch.linalg.svd(design, full_matrices=False)
    kept: Tensor = left[:, sizes > RANK_TOLERANCE * sizes.max()]
    return kept


def _root_mean_square(values: Tensor) -> Tensor:
    return values.square().mean().sqrt()
