"""Transition tables of episodic environments, ``P[s][a] = [(probability, next, reward, ends), ...]``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from theory_check.arrays import as_floats
from theory_check.errors import is_integer, is_number

Outcome = tuple[float, int, float, bool]
# Environments hold the four in whatever number types they like.
Table = Mapping[int, Mapping[int, Sequence[tuple[Any, Any, Any, Any]]]]


@dataclass(frozen=True, eq=False)
class TabularDynamics:
    """A Markov decision process without ends: states that end an episode are absorbing.

    Attributes
    ----------
    transitions
        ``P(s'|s, a)``, a row for every state and action in this order, shape (S A, S).
    reward
        Expected reward, shape (S, A); 0 in absorbing states.
    initial
        Start law, shape (S,).
    extra_state
        Whether the last state is not of the table: it takes the ends of episodes in states that runs
        also pass through.
    """

    transitions: sparse.csr_array
    reward: NDArray[np.float64]
    initial: NDArray[np.float64]
    extra_state: bool


def read_table(table: Any, start: Any) -> TabularDynamics:
    """Turn a transition table into arrays.

    Parameters
    ----------
    table
        ``P[s][a]``, a list of (probability, next state, reward, whether the episode ends): what an
        environment calls so, and therefore checked.
    start
        Start law, shape (S,); uniform over the states in which no episode ends when None.

    Raises
    ------
    ValueError
        If states or actions are not numbered from 0, states have different actions, an outcome is not
        four numbers, a probability is not in [0, 1], a reward not finite, or a next state not among the
        states; or if the start law is not a probability for each state.
    """
    states = len(table)
    _require_numbered(table)
    actions = len(table[0])
    for state, row in table.items():
        for action, outcomes in row.items():
            for outcome in outcomes:
                _require_outcome(outcome, states, f"outcome {outcome!r} of P[{state}][{action}]")
    if start is None:
        free = np.ones(states, dtype=bool)
        free[[outcome[1] for _, _, outcome in _outcomes(table, range(states)) if outcome[3]]] = (
            False
        )
        first = free / free.sum()
    else:
        first = as_floats("initial_state_distrib", start)
        if first.shape != (states,) or not (first >= 0).all():
            raise ValueError(
                f"its start law of shape {first.shape} is not a probability for each of {states} states"
            )
    passed = _passed_through(table, np.flatnonzero(first > 0).tolist())
    ended = {outcome[1] for _, _, outcome in _outcomes(table, passed) if outcome[3]}
    both, absorbing = ended & passed, ended - passed
    size = states + bool(both)
    chances: dict[tuple[int, int], float] = {}
    reward = np.zeros((size, actions))
    for state, action, (probability, target, earned, ends) in _outcomes(
        table, [state for state in range(states) if state not in absorbing]
    ):
        place = state * actions + action, states if ends and target in both else target
        chances[place] = chances.get(place, 0.0) + probability
        reward[state, action] += probability * earned
    for state in [*absorbing, *range(states, size)]:
        for action in range(actions):
            chances[state * actions + action, state] = 1.0
    places = np.array(list(chances)).T
    law = np.array(list(chances.values()))
    transitions = sparse.csr_array((law, places), shape=(size * actions, size))
    initial = np.zeros(size)
    initial[:states] = first
    return TabularDynamics(transitions, reward, initial, extra_state=bool(both))


def _require_numbered(table: Any) -> None:
    if not isinstance(table, Mapping) or set(table) != set(range(len(table))) or not table:
        raise ValueError("its states are not numbered 0, 1, ...")
    for row in table.values():
        if not isinstance(row, Mapping) or set(row) != set(range(len(table[0]))) or not row:
            raise ValueError("not every state has the same actions 0, 1, ...")


def _require_outcome(outcome: Any, states: int, where: str) -> None:
    try:
        probability, target, earned, ends = outcome
    except (TypeError, ValueError):
        raise ValueError(f"{where} is not (probability, next state, reward, ends)") from None
    if not is_number(probability) or not 0 <= probability <= 1:
        raise ValueError(f"{where} has a probability that is not in [0, 1]")
    if not is_integer(target) or not 0 <= target < states:
        raise ValueError(f"{where} leads to a state that is not among 0 .. {states - 1}")
    if not is_number(earned) or not math.isfinite(earned):
        raise ValueError(f"{where} has a reward that is not a finite number")
    if not isinstance(ends, bool | np.bool_) and ends not in (0, 1):
        raise ValueError(f"{where} does not say whether the episode ends")


def _outcomes(table: Table, states: Sequence[int] | set[int]) -> Iterator[tuple[int, int, Outcome]]:
    """Yield state, action and outcome of everything that can happen in ``states``."""
    for state in states:
        for action, outcomes in table[state].items():
            for probability, target, earned, ends in outcomes:
                if probability > 0:
                    outcome = float(probability), int(target), float(earned), bool(ends)
                    yield state, action, outcome


def _passed_through(table: Table, starts: Sequence[int]) -> set[int]:
    """Return the states in which a run can act: reached before its episode ends."""
    found, waiting = set(starts), list(starts)
    while waiting:
        for _, _, (_, target, _, ends) in _outcomes(table, [waiting.pop()]):
            if not ends and target not in found:
                found.add(target)
                waiting.append(target)
    return found
