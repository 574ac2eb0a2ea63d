"""Which trajectories, or segments, the dynamics of a problem allow, and how many they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse

from theory_check.oracles.control.soft_control import reachable_states
from theory_check.problems import Problem
from theory_check.problems.dynamics import SparseDynamics

COUNTED = 10**30
"""From here on trajectories are not counted further."""


def count_trajectories(problem: Problem) -> int:
    """Return the number of trajectories with positive probability; of segments when discounted.

    Counted by dynamic programming, so that the answer is cheap where enumeration would not be, and no
    further than :data:`COUNTED`: a long horizon would have a number of thousands of digits.
    """
    starts, length = starts_and_length(problem)
    present = problem.present_actions.numpy()
    if isinstance(problem.transitions, SparseDynamics):
        return _count_sparse(problem.transitions, starts, length, present)
    # Python integers do not overflow.
    ways = ((problem.transitions > 0).numpy() & present[..., None]).sum(1).astype(object)
    paths = np.zeros(problem.states, dtype=object)
    paths[starts] = 1
    for _ in range(length - 1):
        paths = paths @ ways
        # Every step has a successor, so that the number never falls.
        if paths.sum() >= COUNTED:
            return COUNTED
    return int(paths @ present.sum(1).astype(object))


def _count_sparse(
    dynamics: SparseDynamics, starts: np.ndarray, length: int, present: np.ndarray
) -> int:
    """Return the same number from rows: in digits of 30 bits, whose sums stay below 64."""
    states, actions, _ = dynamics.shape
    rows = dynamics.matrix[np.flatnonzero(present)]
    state = np.repeat(np.flatnonzero(present) // actions, np.diff(rows.indptr))
    one = np.ones(state.size, dtype=np.int64)
    ways = sparse.csr_array((one, (rows.indices, state)), shape=(states, states))
    digits = np.zeros((states, 5), dtype=np.int64)
    digits[starts, 0] = 1
    for _ in range(length - 1):
        digits = _carried(ways @ digits)
        if _whole(digits.sum(0)) >= COUNTED:
            return COUNTED
    return _whole(present.sum(1) @ digits)


def _carried(digits: np.ndarray) -> np.ndarray:
    """Return numbers whose digits are below 2^30, shape (number, digit), the lowest first."""
    for place in range(digits.shape[1] - 1):
        digits[:, place + 1] += digits[:, place] >> 30
        digits[:, place] &= 2**30 - 1
    return digits


def _whole(digits: np.ndarray) -> int:
    return sum(int(digit) << 30 * place for place, digit in enumerate(digits))


def counted(number: int) -> str:
    """Return a number of trajectories in words."""
    return "more than 10^30" if number >= COUNTED else str(number)


def starts_and_length(problem: Problem) -> tuple[np.ndarray, int]:
    """Return where compared trajectories may start and how many steps they have."""
    if problem.horizon is None:
        reached = reachable_states(problem.dynamics, problem.initial, ~problem.present_actions)
        return np.flatnonzero(reached.numpy()), problem.segment_length
    return np.flatnonzero(problem.initial.numpy() > 0), problem.horizon


def successors_of(
    problem: Problem,
) -> Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, ...]]:
    """Return what takes states and actions to rows of them, the successors of each, and their chances."""
    held = problem.transitions
    if isinstance(held, SparseDynamics):
        matrix = held.matrix

        def of_rows(states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, ...]:
            found = matrix[states * problem.actions + actions]
            parent = np.repeat(np.arange(len(states)), np.diff(found.indptr))
            return parent, found.indices.astype(np.int64), found.data

        return of_rows
    kernel = held.numpy()

    def of_table(states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, ...]:
        next_law = kernel[states, actions]
        parent, successor = np.nonzero(next_law)
        return parent, successor, next_law[parent, successor]

    return of_table
