"""What the tables of a preference-learning problem have to be: types, shapes, numbers, laws, names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from theory_check.errors import LARGEST_SCALE, InvalidArgumentError, require_text, shortened
from theory_check.problems.dynamics import SparseDynamics

if TYPE_CHECKING:
    from theory_check.problems.problem import Problem

ARRAYS = ("transitions", "initial", "features", "observations", "true_reward", "reference_policy")
LAWS = ("transitions", "initial", "reference_policy")

_NORMALISATION_TOLERANCE = 1e-8


def require_tables_of(problem: Problem) -> None:
    """Refuse tables and names that make no problem.

    Raises
    ------
    InvalidArgumentError
        Naming the first argument that does not go together with the others.
    """
    _check_types(problem)
    _check_shapes(problem)
    check_names("state_names", problem.state_names, problem.states)
    check_names("action_names", problem.action_names, problem.actions)
    for argument in ARRAYS:
        _check_finite(problem, argument)
    for argument in LAWS:
        _check_stochastic(problem, argument)
    _check_mask(problem)


AXES: dict[str, str] = {
    "transitions": "sas",
    "initial": "s",
    "features": "sa.",
    "observations": "s.",
    "true_reward": "sa",
    "reference_policy": ".sa",
    "action_mask": "sa",
}
"""Which axes of a table are states and actions."""


def place_of(problem: Problem, argument: str, index: tuple[int, ...]) -> str:
    """Return an index of a table in words, with the names of its state and action if they have some."""
    names = {"s": problem.state_names, "a": problem.action_names}
    called = [
        repr(named[number])
        for axis, number in zip(AXES[argument], index, strict=False)
        if (named := names.get(axis)) is not None
    ]
    return f"index {index}" + (f": {', '.join(called)}" if called else "")


def _check_types(problem: Problem) -> None:
    """Refuse other tensors than numbers of their own in float64, and a name that is no text."""
    for argument in ARRAYS:
        values = getattr(problem, argument)
        if argument == "transitions" and isinstance(values, SparseDynamics):
            continue
        dense = isinstance(values, Tensor) and values.layout == torch.strided
        if not dense or values.is_meta or values.dtype != torch.float64:
            raise InvalidArgumentError(
                argument,
                values.dtype if dense else type(values).__name__,
                "pass a dense float64 tensor, or arrays to theory_check.problems.tabular",
            )
    require_text("name", problem.name)


def require_mask(
    values: object, shape: tuple[int, ...], state_names: tuple[str, ...] | None = None
) -> None:
    """Refuse a mask that is no truth value for each state and action, or leaves a state none.

    Raises
    ------
    InvalidArgumentError
        Naming ``action_mask``.
    """
    given = values.dtype if isinstance(values, Tensor) else type(values).__name__
    if not isinstance(values, Tensor) or values.dtype != torch.bool or values.is_meta:
        raise InvalidArgumentError(
            "action_mask",
            given,
            "pass a tensor of truth values, or an array to theory_check.problems.tabular",
        )
    if tuple(values.shape) != shape:
        raise InvalidArgumentError(
            "action_mask",
            f"shape {tuple(values.shape)}",
            f"pass shape {shape}: a truth value for every state and action",
        )
    empty = (~values.any(-1)).nonzero()
    if len(empty):
        state = int(empty[0])
        called = "" if state_names is None else f", {state_names[state]!r}"
        raise InvalidArgumentError(
            "action_mask",
            f"no action in state {state}{called}",
            "leave every state at least one action; where an episode ends, one that stays",
        )


def _check_mask(problem: Problem) -> None:
    """Refuse a mask that is none, and a reference policy that does not agree with it."""
    if problem.action_mask is not None:
        shape = (problem.states, problem.actions)
        require_mask(problem.action_mask, shape, problem.state_names)
    positive, present = problem.reference_policy > 0, problem.present_actions
    absent = (positive & ~present).nonzero()
    if len(absent):
        where = tuple(absent[0].tolist())
        raise InvalidArgumentError(
            "reference_policy",
            f"{problem.reference_policy[where].item():g} at "
            f"{place_of(problem, 'reference_policy', where)}, which action_mask leaves out",
            "make it 0 there, or leave it out for a uniform one",
        )
    missing = (~positive & present).nonzero()
    if len(missing):
        where = tuple(missing[0].tolist())
        raise InvalidArgumentError(
            "reference_policy",
            f"a smallest probability of 0 ({place_of(problem, 'reference_policy', where)})",
            "give every action a positive probability, or the KL term is infinite; say with action_mask "
            "which do not exist",
        )


def check_names(argument: str, names: object, number: int) -> None:
    """Refuse anything but one distinct text for each."""
    if names is None:
        return
    if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
        raise InvalidArgumentError(argument, shortened(names), "pass a tuple of texts, or None")
    for name in names:
        require_text(argument, name)
    if len(names) != number:
        raise InvalidArgumentError(argument, f"{len(names)} names", f"pass {number}, one for each")
    if len(set(names)) < number:
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidArgumentError(
            argument, f"{shortened(twice)} more than once", "give each a name of its own"
        )


def _check_shapes(problem: Problem) -> None:
    shape = tuple(problem.transitions.shape)
    if len(shape) != 3 or shape[0] != shape[2] or 0 in shape:
        raise InvalidArgumentError(
            "transitions", f"shape {shape}", "pass an array of shape (states, actions, states)"
        )
    states, actions = shape[:2]
    expected = {
        "initial": (states,),
        "true_reward": (states, actions),
        "reference_policy": (problem.steps, states, actions),
    }
    for argument, wanted in expected.items():
        got = tuple(getattr(problem, argument).shape)
        if got != wanted:
            raise InvalidArgumentError(
                argument, f"shape {got}", f"pass shape {wanted} to agree with transitions {shape}"
            )
    got = tuple(problem.features.shape)
    if len(got) != 3 or got[:2] != (states, actions) or got[2] < 1:
        raise InvalidArgumentError(
            "features",
            f"shape {got}",
            f"pass shape ({states}, {actions}, parameters) to agree with transitions {shape}",
        )
    got = tuple(problem.observations.shape)
    if len(got) != 2 or got[0] != states or got[1] < 1:
        raise InvalidArgumentError(
            "observations",
            f"shape {got}",
            f"pass shape ({states}, numbers): one vector for every state of transitions {shape}",
        )


def _numbers(
    problem: Problem, argument: str
) -> tuple[Tensor, Callable[[tuple[int, ...]], tuple[int, ...]]]:
    """Return the numbers of a table that are held, and what tells their places in the whole of it."""
    values = getattr(problem, argument)
    if not isinstance(values, SparseDynamics):
        return values, lambda index: index
    rows = values.rows

    def place(index: tuple[int, ...]) -> tuple[int, ...]:
        pair = int(np.searchsorted(rows.bounds, index[0], side="right")) - 1
        return *divmod(pair, problem.actions), int(rows.columns[index[0]])

    return torch.from_numpy(rows.chances), place


def _check_finite(problem: Problem, argument: str) -> None:
    values, place = _numbers(problem, argument)
    # What is NaN is not at most anything.
    bad = (~(values.abs() <= LARGEST_SCALE)).nonzero()
    if len(bad):
        found = tuple(bad[0].tolist())
        where = place(found)
        raise InvalidArgumentError(
            argument,
            f"{values[found].item()} at {place_of(problem, argument, where)}",
            f"pass finite numbers only, of at most {LARGEST_SCALE:g} in size",
        )


def _check_stochastic(problem: Problem, argument: str) -> None:
    values, place = _numbers(problem, argument)
    negative = (values < 0).nonzero()
    if len(negative):
        found = tuple(negative[0].tolist())
        raise InvalidArgumentError(
            argument,
            f"{values[found].item():g} at {place_of(problem, argument, place(found))}",
            "pass probabilities, at least 0",
        )
    given = getattr(problem, argument)
    # Of a sparse kernel, the mean of 1 over what follows.
    ones = torch.ones(1, problem.states, dtype=values.dtype)
    total = given.ahead(ones)[0] if isinstance(given, SparseDynamics) else values.sum(-1)
    excess = (total - 1).abs()
    if excess.max().item() > _NORMALISATION_TOLERANCE:
        where = tuple(torch.unravel_index(excess.argmax(), excess.shape))
        row = tuple(int(index) for index in where)
        raise InvalidArgumentError(
            argument,
            f"a row that sums to {total[where].item():.12g} ({place_of(problem, argument, row)})",
            "make every row sum to 1",
        )
