"""Gridworlds from text maps.

Presets: ``"four-rooms"``, the layout of Sutton, Precup and Singh, "Between MDPs and semi-MDPs",
Artificial Intelligence 112, 1999 (104 cells); ``"russell-norvig"``, the 4 x 3 world of Russell and
Norvig, "Artificial Intelligence: A Modern Approach", chapter 17, whose utilities are a known answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from theory_check.errors import (
    InvalidArgumentError,
    nearest,
    require_finite,
    require_scale,
    shortened,
)
from theory_check.problems.dynamics import keeps_sparse
from theory_check.problems.misspecification import MisspecifiedFor
from theory_check.problems.observations import (
    FeatureSet,
    feature_table,
    normalised,
    require_probability,
)
from theory_check.problems.problem import Objective, Problem, require_horizon
from theory_check.problems.sizes import require_tables
from theory_check.problems.tabular import tabular

WALL, FREE, START, GOAL, PIT = "#.SGH"
# Up, right, down, left: the neighbours of an action in this order are its perpendicular ones.
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))
MOVE_NAMES = ("up", "right", "down", "left")

PRESETS = {
    "russell-norvig": (
        "...G",
        ".#.H",
        "S...",
    ),
    "four-rooms": (
        "#############",
        "#SSSSS#SSSSS#",
        "#SSSSS#SSSSS#",
        "#SSSSSSSSSSS#",
        "#SSSSS#SSSSS#",
        "#SSSSS#SSSSS#",
        "##S####SSSSS#",
        "#SSSSS###S###",
        "#SSSSS#SSSSS#",
        "#SSSSS#SSSSS#",
        "#SSSSSSSSSSS#",
        "#SSSSS#SSSSG#",
        "#############",
    ),
}


def gridworld(
    *,
    map: str | Sequence[str] = "russell-norvig",
    slip: float = 0.2,
    goal_reward: float = 1.0,
    pit_reward: float = -1.0,
    step_cost: float = 0.0,
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
) -> Problem:
    """Build a gridworld with four actions: up, right, down, left.

    A move into a wall or over the edge leaves the walker where it is. Goals and pits are absorbing.
    *True reward*: a move earns ``goal_reward`` if it enters a goal and ``pit_reward`` if it enters a
    pit, less ``step_cost``, in expectation over the move; in a goal or a pit, 0. *Optimal value*:
    computed by :func:`theory_check.oracles.control.hard_control.optimal_values`; on the Russell-Norvig
    map with ``step_cost=0.04`` and many undiscounted steps it is the book's table of utilities.

    Parameters
    ----------
    map
        Rows of characters, as a sequence or with line breaks: ``#`` wall, ``.`` free, ``S`` start (one
        of them, uniformly), ``G`` goal, ``H`` pit. Or a preset: ``"russell-norvig"``;
        ``"four-rooms"``, 104 cells, a goal in the lower right corner and a start anywhere else, which is
        this project's choice. States are the cells that are not walls, row by row.
    slip
        Probability in [0, 1] that a move is replaced by one of the two perpendicular ones, each equally
        likely.
    goal_reward, pit_reward, step_cost
        Finite numbers of the true reward.
    horizon
        Steps of an episode; None is the discounted version.
    discount, kl_weight, segment_length, objective, reference_policy
        As in :func:`theory_check.problems.tabular`.
    reward_scale
        Factor > 0 of the true reward.
    features
        Of the linear class: ``"indicator"`` is the tabular class, a table of (4 cells)^2 numbers, which
        is refused from 1500 cells on; ``"observations"`` has one weight per action for a constant, the
        row and the column, and goes with maps of 10 000 cells, whose kernel stays sparse.
    misspecification, misspecified_for, misspecification_seed
        As in :func:`theory_check.problems.tabular`.

    Raises
    ------
    InvalidArgumentError
        For a map that is not rectangular, has another character, no start or no goal, and as
        :func:`theory_check.problems.tabular`.

    Notes
    -----
    Observations are row and column, each normalised to [-1, 1] over the map's cells. States are named by
    them, counted from 0.
    """
    rows = _parsed(map)
    require_probability("slip", slip)
    for argument, value in (
        ("goal_reward", goal_reward),
        ("pit_reward", pit_reward),
        ("step_cost", step_cost),
    ):
        require_finite(argument, value)
    require_scale("reward_scale", reward_scale)
    require_horizon(horizon, discount, segment_length)
    cells = [(i, j) for i, row in enumerate(rows) for j, mark in enumerate(row) if mark != WALL]
    shape, successors = (len(cells), len(MOVES), len(cells)), 3 * len(MOVES) * len(cells)
    sparse_kernel = keeps_sparse(len(cells), len(MOVES), successors)
    require_tables(
        ("map", len(cells)),
        ("actions", len(MOVES)),
        horizon=horizon,
        features=3 * len(MOVES) if isinstance(features, str) and features != "indicator" else None,
        observations=2,
        successors=successors if sparse_kernel else None,
    )
    marks = np.array([rows[i][j] for i, j in cells])
    ends = (marks == GOAL) | (marks == PIT)
    on_entry = float(goal_reward) * (marks == GOAL) + float(pit_reward) * (marks == PIT)
    moves = _kernel(cells, ends, slip)
    kernel = moves if sparse_kernel else moves.toarray().reshape(shape)
    entered = (kernel @ on_entry).reshape(shape[:2])
    reward = np.where(ends[:, None], 0.0, entered - step_cost)
    observations = normalised(cells)
    starts = marks == START
    title = map if isinstance(map, str) and map in PRESETS else f"{len(rows)}x{len(rows[0])}"
    return tabular(
        transitions=kernel,
        initial=starts / starts.sum(),
        true_reward=reward_scale * reward,
        features=feature_table(features, observations, len(MOVES)),
        observations=observations,
        horizon=horizon,
        discount=discount,
        kl_weight=kl_weight,
        segment_length=segment_length,
        objective=objective,
        reference_policy=reference_policy,
        misspecification=misspecification,
        misspecified_for=misspecified_for,
        misspecification_seed=misspecification_seed,
        state_names=[f"row {row}, column {column}" for row, column in cells],
        action_names=MOVE_NAMES,
        name=f"gridworld({title}, slip {slip:g})",
    )


def _kernel(cells: list[tuple[int, int]], ends: NDArray[np.bool_], slip: float) -> sparse.csr_array:
    """Return the transition kernel, a row for every cell and move, shape (cells * 4, cells)."""
    index = {cell: state for state, cell in enumerate(cells)}
    chances: dict[tuple[int, int], float] = {}
    for state, (row, column) in enumerate(cells):
        for action in range(len(MOVES)):
            pair = len(MOVES) * state + action
            if ends[state]:
                chances[pair, state] = 1.0
                continue
            for turn, probability in ((0, 1 - slip), (1, slip / 2), (-1, slip / 2)):
                down, across = MOVES[(action + turn) % len(MOVES)]
                target = index.get((row + down, column + across), state)
                chances[pair, target] = chances.get((pair, target), 0.0) + probability
    law, places = np.array(list(chances.values())), np.array(list(chances)).T
    return sparse.csr_array((law, places), shape=(len(MOVES) * len(cells), len(cells)))


def _parsed(map: str | Sequence[str]) -> list[str]:
    """Return the rows of a map that is one."""
    if isinstance(map, str) and map in PRESETS:
        return list(PRESETS[map])
    if (
        isinstance(map, str)
        and "\n" not in map
        and not set(map) <= set(WALL + FREE + START + GOAL + PIT)
    ):
        raise InvalidArgumentError(
            "map", shortened(map), f"pass rows of characters, or a preset: {nearest(map, PRESETS)}"
        )
    given = map.strip().splitlines() if isinstance(map, str) else map
    if not isinstance(given, Sequence) or not all(isinstance(row, str) for row in given):
        raise InvalidArgumentError("map", shortened(map), "pass a list of rows of characters")
    rows = [row.strip() for row in given]
    if not rows or not rows[0]:
        raise InvalidArgumentError("map", shortened(map), "pass at least one row of characters")
    for number, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise InvalidArgumentError(
                "map",
                f"row {number} of {len(row)} characters ({row!r}) after rows of {len(rows[0])}",
                "make the map rectangular; '#' is a wall",
            )
        for column, mark in enumerate(row):
            if mark not in (WALL, FREE, START, GOAL, PIT):
                raise InvalidArgumentError(
                    "map",
                    f"{mark!r} in row {number}, column {column}",
                    "use '#' wall, '.' free, 'S' start, 'G' goal, 'H' pit",
                )
    for mark, meaning in ((START, "start"), (GOAL, "goal")):
        if not any(mark in row for row in rows):
            raise InvalidArgumentError(
                "map", f"no {meaning}", f"mark at least one cell with {mark!r}"
            )
    return rows
