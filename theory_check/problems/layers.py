"""Problems in which every state belongs to one step: layers of states, each followed by the next one.

A text that is being written is the example: how much of it stands there says which step it is. A policy
table then has a row for each state instead of one for each step and state, and recursions over steps
touch every state once. What the kernel says of the states of the last layer counts for nothing: the
episode is over. States are in the order of their layers.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from theory_check.errors import InvalidArgumentError, is_integer, require_instance, shortened
from theory_check.models.base import Prefixes
from theory_check.problems.dynamics import SparseDynamics

if TYPE_CHECKING:
    from theory_check.problems.problem import Problem


def slices_of(layers: tuple[int, ...]) -> list[slice]:
    """Return the states of every layer."""
    bounds = [0, *accumulate(layers)]
    return [slice(low, high) for low, high in pairwise(bounds)]


def step_of_states(layers: tuple[int, ...]) -> Int[Tensor, " s"]:
    """Return the step of every state."""
    return torch.repeat_interleave(torch.arange(len(layers)), torch.tensor(layers))


def require_layers(problem: Problem) -> None:
    """Refuse layers that the horizon, the start law or the kernel of a problem do not agree with.

    Raises
    ------
    InvalidArgumentError
        Naming ``layers``.
    """
    layers = problem.layers
    if layers is None:
        return
    whole = isinstance(layers, tuple) and all(is_integer(size) and size >= 1 for size in layers)
    if not whole or sum(layers) != problem.states:
        raise InvalidArgumentError(
            "layers",
            shortened(layers),
            f"pass a tuple of positive integers that add up to the number of states, {problem.states}",
        )
    if problem.horizon != len(layers):
        raise InvalidArgumentError(
            "layers",
            f"{len(layers)} layers with horizon {problem.horizon}",
            "pass one number of states for each step of an episode",
        )
    late = problem.initial[layers[0] :].nonzero()
    if len(late):
        state = layers[0] + int(late[0])
        raise InvalidArgumentError(
            "layers",
            f"{layers[0]} states in the first layer, but episodes start in {_called(problem, state)}",
            "put every state where episodes start into the first layer",
        )
    _require_successors(problem, layers)


def _require_successors(problem: Problem, layers: tuple[int, ...]) -> None:
    """Refuse a successor beyond the next layer; those of the last one are not looked at."""
    held = problem.transitions
    step = step_of_states(layers).numpy()
    matrix = held.matrix if isinstance(held, SparseDynamics) else problem.dynamics.matrix
    pair = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    state = pair // problem.actions
    wrong = (step[state] < len(layers) - 1) & (step[matrix.indices] != step[state] + 1)
    if wrong.any():
        entry = int(np.flatnonzero(wrong)[0])
        before, after = int(state[entry]), int(matrix.indices[entry])
        raise InvalidArgumentError(
            "layers",
            f"{_called(problem, before)} of step {step[before]} leads to {_called(problem, after)} of "
            f"step {step[after]}",
            "order states by their steps, every successor in the next layer; or leave layers out",
        )


def _called(problem: Problem, state: int) -> str:
    if problem.state_names is None:
        return f"state {state}"
    return f"state {state}, {problem.state_names[state]!r}"


def require_prefixes(problem: Problem) -> None:
    """Refuse prefixes of other states or actions than those of the problem.

    Raises
    ------
    InvalidArgumentError
        Naming ``prefixes``.
    """
    given = problem.prefixes
    if given is None:
        return
    require_instance(
        "prefixes", given, Prefixes, "pass a theory_check.models.base.Prefixes, or None"
    )
    shapes = (tuple(given.prompts.shape), tuple(given.tokens.shape))
    wanted = ((problem.states,), (problem.states, given.length - 1))
    if shapes != wanted:
        raise InvalidArgumentError(
            "prefixes",
            f"prompts and tokens of shapes {shapes[0]} and {shapes[1]}",
            f"pass shapes {wanted[0]} and {wanted[1]}: what is written in each of the states",
        )
    if given.vocabulary != problem.actions:
        raise InvalidArgumentError(
            "prefixes",
            f"a vocabulary of {given.vocabulary}",
            f"pass one of {problem.actions} tokens: actions are tokens",
        )
