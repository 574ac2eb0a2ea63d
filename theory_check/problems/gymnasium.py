"""Gymnasium environments with an explicit transition table, read from the environment itself.

Source: Towers et al., "Gymnasium: a standard interface for reinforcement learning environments", 2024;
the toy-text environments (FrozenLake, CliffWalking, Taxi) carry their dynamics in ``env.unwrapped.P``.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory_check.errors import (
    InvalidArgumentError,
    require_flag,
    require_scale,
    shortened,
)
from theory_check.problems.misspecification import MisspecifiedFor
from theory_check.problems.observations import FeatureSet, feature_table, normalised
from theory_check.problems.problem import Objective, Problem, require_horizon
from theory_check.problems.tabular import tabular
from theory_check.problems.transition_table import TabularDynamics, read_table

LIBRARY = "gymnasium"
"""The library that this family needs and the package does not install by itself."""

DIRECTIONS = ("LEFT", "DOWN", "RIGHT", "UP")
"""Constants by which the module of an environment numbers its moves, where it has them."""

TAXI = ("south", "north", "east", "west", "pick up", "drop off")
"""Actions of Taxi, which its module does not name."""


def gymnasium(
    id: Any = "FrozenLake-v1",
    *,
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
    action_mask: bool = False,
    **kwargs: Any,
) -> Problem:
    """Read FrozenLake, CliffWalking, Taxi or any environment with a table ``env.unwrapped.P``.

    *True reward*: the environment's own, in expectation over the outcomes of (s, a). A transition that
    terminates an episode is paid, and leads to a state that is absorbing with reward 0. A state that is
    entered both at the end of an episode and in the middle of one stays as it is, and the endings lead
    to one more state, the last. Time limits (``max_episode_steps``) are not part of the table and are
    ignored: give a ``horizon``. *Optimal value*: computed by
    :func:`theory_check.oracles.control.hard_control.optimal_values`.

    Parameters
    ----------
    id
        Name under which gymnasium knows the environment, without a module, which it would import; or an
        environment, a wrapped one included, which is read and left as it is.
    horizon
        Steps of an episode; None is the discounted version.
    discount, kl_weight, segment_length, objective, reference_policy
        As in :func:`theory_check.problems.tabular`.
    reward_scale
        Factor > 0 of the true reward.
    features
        Of the linear class: ``"indicator"`` is the tabular class, a table of (S A)^2 numbers;
        ``"observations"`` has one weight per action for a constant and every entry of the observation,
        and goes with tables of thousands of states, whose kernel stays sparse.
    misspecification, misspecified_for, misspecification_seed
        As in :func:`theory_check.problems.tabular`.
    action_mask
        Whether to leave out the actions of a state that ``env.unwrapped.action_mask(state)`` says have no
        effect, as Taxi does. Where episodes have ended, all stay.
    **kwargs
        Passed on to ``gymnasium.make``, such as ``map_name="8x8"`` or ``is_slippery=False``.

    Raises
    ------
    InvalidArgumentError
        If gymnasium is not installed, does not know the environment or its arguments, or the environment
        has no transition table, or one that does not describe it (Taxi's ``fickle_passenger``), or no
        action mask where it is asked for.

    Notes
    -----
    The start law is ``initial_state_distrib``; where an environment does not state it, uniform over the
    states in which no episode ends. Observations, each entry normalised to [-1, 1]: the
    fields of ``decode`` (Taxi: row, column, passenger, destination), else row and column of a map
    (``desc`` of FrozenLake, ``shape`` of CliffWalking), else, and where there is one more state, an
    indicator of the state. States that no run can reach keep the rows of the table. States are named by
    these fields or coordinates, actions as the environment's module names its moves, where it does.
    """
    require_scale("reward_scale", reward_scale)
    require_horizon(horizon, discount, segment_length)
    require_flag("action_mask", action_mask)
    library = _library()
    given = isinstance(id, library.Env)
    title, environment = _given(id, kwargs) if given else (id, _made(library, id, kwargs))
    dynamics = _dynamics(title, environment)
    if not given:
        _require_fixed(library, title, kwargs, dynamics)
    seen = None if dynamics.extra_state else _fields(environment, len(environment.P))
    mask = _mask(title, environment, dynamics) if action_mask else None
    actions = dynamics.reward.shape[1]
    names = _action_names(environment, actions)
    if not given:
        environment.close()
    observed = None if seen is None else normalised(seen)
    settings = "".join(f", {key}={value!r}" for key, value in kwargs.items())
    return tabular(
        transitions=dynamics.transitions,
        initial=dynamics.initial,
        true_reward=reward_scale * dynamics.reward,
        features=feature_table(features, observed, actions),
        observations=observed,
        horizon=horizon,
        discount=discount,
        kl_weight=kl_weight,
        segment_length=segment_length,
        objective=objective,
        reference_policy=reference_policy,
        misspecification=misspecification,
        misspecified_for=misspecified_for,
        misspecification_seed=misspecification_seed,
        action_mask=mask,
        state_names=None if seen is None else [", ".join(map(str, place)) for place in seen],
        action_names=names,
        name=f"gymnasium({title}{settings})",
    )


def _given(environment: Any, kwargs: dict[str, Any]) -> tuple[str, Any]:
    """Return an environment that somebody made, and what to call it."""
    if kwargs:
        key, value = next(iter(kwargs.items()))
        raise InvalidArgumentError(
            key, shortened(value), "leave it out: the environment has been made already"
        )
    plain = environment.unwrapped
    spec = getattr(plain, "spec", None)
    return getattr(spec, "id", None) or type(plain).__name__, plain


def _made(library: ModuleType, id: object, kwargs: dict[str, Any]) -> Any:
    """Return the environment of a name, unwrapped."""
    if not isinstance(id, str) or ":" in id:
        raise InvalidArgumentError(
            "id",
            shortened(id),
            "pass the name alone: a module before a colon would be imported, so import it yourself, "
            "where you trust it, and name the environment that it registers; or pass the environment",
        )
    try:
        return library.make(id, **kwargs).unwrapped
    except library.error.Error as error:
        raise InvalidArgumentError(
            "id", shortened(id), f"name an environment that gymnasium can make ({error})"
        ) from error
    except (TypeError, ValueError, KeyError) as error:
        raise InvalidArgumentError(
            "kwargs", shortened(kwargs), f"pass arguments that {id} takes ({error})"
        ) from error


def _require_fixed(
    library: ModuleType, id: str, kwargs: dict[str, Any], dynamics: TabularDynamics
) -> None:
    """Refuse arguments with which another table is drawn every time."""
    again = _dynamics(id, library.make(id, **kwargs).unwrapped)
    one, other = dynamics.transitions, again.transitions
    if one.shape != other.shape or (one != other).nnz:
        raise InvalidArgumentError(
            "kwargs",
            f"{kwargs!r}, with which {id} draws another transition table every time",
            "pass arguments that fix it, such as map_name or desc",
        )


def _library() -> ModuleType:
    """Return the library, whose name this module's function has taken."""
    try:
        return importlib.import_module(LIBRARY)
    except ModuleNotFoundError as error:
        raise InvalidArgumentError(
            "family",
            f"{LIBRARY!r}, but that library is not installed",
            f"pip install 'theory-check[{LIBRARY}]'",
        ) from error


def _dynamics(id: str, environment: Any) -> TabularDynamics:
    """Read the table of an environment that has one."""
    if not getattr(environment, "P", None):
        raise InvalidArgumentError(
            "id",
            f"{id!r}, which has no transition table env.unwrapped.P",
            "name a tabular environment, such as 'FrozenLake-v1', 'CliffWalking-v1' or Taxi",
        )
    if getattr(environment, "fickle_passenger", False):
        raise InvalidArgumentError(
            "fickle_passenger",
            "True",
            "leave it out: the passenger changes destination outside the transition table",
        )
    try:
        return read_table(environment.P, getattr(environment, "initial_state_distrib", None))
    except ValueError as error:
        raise InvalidArgumentError(
            "id", f"{id!r}, whose transition table cannot be used", f"correct it: {error}"
        ) from error


def _fields(environment: Any, states: int) -> list[tuple[int, ...]] | None:
    """Return the fields or coordinates of every state, where the environment has them."""
    if hasattr(environment, "decode"):
        return [tuple(map(int, environment.decode(state))) for state in range(states)]
    for shape in (np.shape(getattr(environment, "desc", ())), getattr(environment, "shape", ())):
        if len(shape) == 2 and shape[0] * shape[1] == states:
            return [divmod(state, shape[1]) for state in range(states)]
    return None


def _mask(id: str, environment: Any, dynamics: TabularDynamics) -> NDArray[np.bool_]:
    """Return which actions the environment says have an effect, shape (S, A)."""
    offered = getattr(environment, "action_mask", None)
    if not callable(offered):
        raise InvalidArgumentError(
            "action_mask",
            f"True, but {id} has no env.unwrapped.action_mask(state)",
            "leave it out, or pass the arrays and a mask to theory_check.problems.tabular",
        )
    rows = [offered(state) for state in range(len(environment.P))]
    states, actions = dynamics.reward.shape
    mask = np.ones((states, actions), dtype=bool)
    try:
        mask[: len(rows)] = np.asarray(rows, dtype=bool)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(
            "action_mask",
            f"True, but that of {id} is no truth value for each of {actions} actions",
            f"correct it ({error})",
        ) from error
    pairs = np.arange(states * actions)
    stays = dynamics.transitions[pairs, pairs // actions]
    ended = (np.asarray(stays).reshape(states, actions) == 1).all(1)
    mask[ended] = True
    return mask


def _action_names(environment: Any, actions: int) -> list[str] | None:
    """Return what the environment calls its actions, None where that is not known."""
    module = vars(sys.modules[type(environment).__module__])
    moves = {module.get(name): name.lower() for name in DIRECTIONS}
    if actions == len(DIRECTIONS) and moves.keys() == set(range(actions)):
        return [moves[action] for action in range(actions)]
    taxi = type(environment).__name__.startswith("Taxi") and actions == len(TAXI)
    return list(TAXI) if taxi else None
