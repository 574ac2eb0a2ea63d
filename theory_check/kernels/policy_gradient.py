"""Exact softmax policy gradient without regularisation, many steps in one compiled loop.

``lambda <- lambda + alpha ∂_lambda J`` with ``J = E_pi[sum_h gamma^h r(s_h, a_h)]`` and one logit per
step, state and action. By the policy gradient theorem the derivative is ``w_h(s) pi_h(a|s) A_h(s, a)``,
``w_h(s) = gamma^h Pr(s_h = s)`` (summed over all steps for a stationary policy) and ``A`` the
advantage. Steps cost less than a microsecond on small problems, where tensor programs need a hundred.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@numba.njit(cache=True, error_model="numpy")
def ascend_episodic(
    transitions: Floats,
    initial: Floats,
    rewards: Floats,
    logits: Floats,
    discount: float,
    step_size: float,
    steps: int,
) -> None:
    """Advance the logits of non-stationary policies, in place.

    Parameters
    ----------
    transitions, initial
        Shapes (s, a, s) and (s,).
    rewards
        Shape (replicate, s, a).
    logits
        Shape (replicate, h, s, a).
    discount
        ``gamma`` in (0, 1].
    step_size
        ``alpha``.
    steps
        Number of gradient steps.
    """
    replicates, horizon, states, actions = logits.shape
    policy = np.empty((horizon, states, actions))
    advantage = np.empty((horizon, states, actions))
    value = np.empty((horizon + 1, states))
    for replicate in range(replicates):
        for _ in range(steps):
            value[horizon] = 0.0
            for step in range(horizon - 1, -1, -1):
                _softmax(logits[replicate, step], policy[step])
                for state in range(states):
                    mean = 0.0
                    for action in range(actions):
                        ahead = _expectation(transitions[state, action], value[step + 1])
                        found = rewards[replicate, state, action] + discount * ahead
                        advantage[step, state, action] = found
                        mean += policy[step, state, action] * found
                    value[step, state] = mean
                    advantage[step, state] -= mean
            law = initial.copy()
            weight = step_size
            for step in range(horizon):
                following = np.zeros(states)
                for state in range(states):
                    for action in range(actions):
                        joint = law[state] * policy[step, state, action]
                        logits[replicate, step, state, action] += (
                            weight * joint * advantage[step, state, action]
                        )
                        for successor in range(states):
                            following[successor] += joint * transitions[state, action, successor]
                law = following
                weight *= discount


@numba.njit(cache=True, error_model="numpy")
def ascend_stationary(
    transitions: Floats,
    initial: Floats,
    rewards: Floats,
    logits: Floats,
    discount: float,
    step_size: float,
    steps: int,
) -> None:
    """Advance the logits of stationary policies, in place; arguments of :func:`ascend_episodic`.

    ``discount < 1`` and one step in the logits. Values and occupancies share one factorisation of
    ``I - gamma P_pi``, which is strictly diagonally dominant by rows and needs no pivoting.
    """
    replicates, _, states, actions = logits.shape
    policy = np.empty((states, actions))
    factors = np.empty((states, states))
    value = np.empty(states)
    occupancy = np.empty(states)
    for replicate in range(replicates):
        for _ in range(steps):
            _softmax(logits[replicate, 0], policy)
            for state in range(states):
                factors[state] = 0.0
                factors[state, state] = 1.0
                value[state] = 0.0
                for action in range(actions):
                    probability = policy[state, action]
                    value[state] += probability * rewards[replicate, state, action]
                    for successor in range(states):
                        factors[state, successor] -= (
                            discount * probability * transitions[state, action, successor]
                        )
            _factorise(factors)
            _solve(factors, value)
            occupancy[:] = initial
            _solve_transposed(factors, occupancy)
            for state in range(states):
                for action in range(actions):
                    ahead = _expectation(transitions[state, action], value)
                    advantage = rewards[replicate, state, action] + discount * ahead - value[state]
                    logits[replicate, 0, state, action] += (
                        step_size * occupancy[state] * policy[state, action] * advantage
                    )


@numba.njit(cache=True, error_model="numpy", inline="always")
def _softmax(logits: Floats, policy: Floats) -> None:
    """Write the rows' softmax to ``policy``, both (s, a)."""
    states, actions = logits.shape
    for state in range(states):
        largest = logits[state, 0]
        for action in range(1, actions):
            largest = max(largest, logits[state, action])
        total = 0.0
        for action in range(actions):
            policy[state, action] = np.exp(logits[state, action] - largest)
            total += policy[state, action]
        for action in range(actions):
            policy[state, action] /= total


@numba.njit(cache=True, error_model="numpy", inline="always")
def _expectation(law: Floats, value: Floats) -> float:
    total = 0.0
    for state in range(law.shape[0]):
        total += law[state] * value[state]
    return total


@numba.njit(cache=True, error_model="numpy")
def _factorise(matrix: Floats) -> None:
    """Replace a matrix by its factors L (unit diagonal, below) and U."""
    size = matrix.shape[0]
    for pivot in range(size):
        for row in range(pivot + 1, size):
            factor = matrix[row, pivot] / matrix[pivot, pivot]
            matrix[row, pivot] = factor
            for column in range(pivot + 1, size):
                matrix[row, column] -= factor * matrix[pivot, column]


@numba.njit(cache=True, error_model="numpy")
def _solve(factors: Floats, vector: Floats) -> None:
    """Solve ``L U x = vector`` in place."""
    size = vector.shape[0]
    for row in range(size):
        for column in range(row):
            vector[row] -= factors[row, column] * vector[column]
    for row in range(size - 1, -1, -1):
        for column in range(row + 1, size):
            vector[row] -= factors[row, column] * vector[column]
        vector[row] /= factors[row, row]


@numba.njit(cache=True, error_model="numpy")
def _solve_transposed(factors: Floats, vector: Floats) -> None:
    """Solve ``(L U)^T x = vector`` in place."""
    size = vector.shape[0]
    for row in range(size):
        for column in range(row):
            vector[row] -= factors[column, row] * vector[column]
        vector[row] /= factors[row, row]
    for row in range(size - 1, -1, -1):
        for column in range(row + 1, size):
            vector[row] -= factors[column, row] * vector[column]
