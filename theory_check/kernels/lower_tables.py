"""Inner steps with one lower variable on tables: all replicates and steps of logits in one compiled call.

Draws are those of the single operations, in their order and from their streams.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from theory_check.kernels.bradley_terry import Floats
from theory_check.kernels.draws import trajectory_frequencies
from theory_check.kernels.penalty_tables import (
    EpisodicTables,
    add_pulled_back,
    laws_of,
    log_softmax,
    reward_to_go_scores,
)


@numba.njit(cache=True, error_model="numpy")
def lower_descent(
    rollouts: NDArray[np.uint64],
    tables: EpisodicTables,
    trajectories: int,
    reward: Floats,
    points: Floats,
    steps: int,
    step_size: float,
    told: Floats,
) -> None:
    """Take all inner steps of an iteration with one lower variable, on logits.

    Parameters
    ----------
    rollouts
        Generators, shape (replicate, 4), advanced in place.
    tables, reward, steps, step_size
        As of :func:`~theory_check.kernels.penalty_tables.tabular_descent`.
    trajectories
        Rollouts of a step.
    points
        Logits, shape (replicate, entry); they are moved in place.
    told
        Takes the points before every step, shape (steps, replicate, entry), or (0, ...) for nothing.
    """
    for step in range(steps):
        if told.shape[0] > 0:
            told[step] = points
        log_policies = log_softmax(points, tables.reference.shape)
        slopes = lower_slopes(rollouts, tables, trajectories, reward, log_policies)
        add_pulled_back(log_policies, slopes, tables.reference.shape, step_size, points)


@numba.njit(cache=True, error_model="numpy")
def lower_slopes(
    rollouts: NDArray[np.uint64],
    tables: EpisodicTables,
    trajectories: int,
    reward: Floats,
    log_policies: Floats,
) -> Floats:
    """Return the derivatives of ``J`` along policies, shape (replicate, entry)."""
    drawn = trajectory_frequencies(rollouts, laws_of(tables, log_policies), trajectories)
    slopes: Floats = reward_to_go_scores(tables, reward, log_policies, drawn)
    return slopes
