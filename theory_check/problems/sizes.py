"""How large a problem may be: refused from its sizes, before any of its tables is allocated."""

from __future__ import annotations

import math

from theory_check.errors import require_table

Size = tuple[str, int]
"""A size with the argument that it was passed as."""


def require_tables(
    states: Size,
    actions: Size,
    *,
    horizon: int | None,
    features: int | None = None,
    observations: int | None = None,
    successors: int | None = None,
) -> None:
    """Refuse sizes with which the tables of a problem would be larger than are ever useful.

    Parameters
    ----------
    states, actions
        Numbers of states and actions.
    horizon
        Steps of a policy table; None for a stationary policy.
    features
        Numbers in a feature vector; an indicator of state and action when None.
    observations
        Numbers in an observation; an indicator of the state when None.
    successors
        Successors of all states and actions that a sparse kernel names; None for a table.

    Raises
    ------
    InvalidArgumentError
        Naming the largest size of the largest table.
    """
    steps = ("horizon", 1 if horizon is None else horizon)
    named = (states, actions, states)
    tables: list[tuple[Size, ...]] = [
        # A probability and its place.
        named if successors is None else (("transitions", successors), ("transitions", 2)),
        (states, actions) * 2 if features is None else (states, actions, ("features", features)),
        (states, states if observations is None else ("observations", observations)),
        (steps, states, actions),
    ]
    entries = [math.prod(int(value) for _, value in table) for table in tables]
    largest = tables[entries.index(max(entries))]
    argument, value = max(largest, key=lambda size: int(size[1]))
    indicators = features is None and tables.index(largest) == 1
    indicators |= observations is None and tables.index(largest) == 2
    instead = "; or features and observations of a few numbers, in the place of indicators"
    require_table(argument, value, sum(entries), instead if indicators else "")
