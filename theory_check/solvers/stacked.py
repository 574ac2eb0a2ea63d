"""Several settings of one solver as one program, so that a search over them is a batch and no loop.

A solver takes part by naming, in ``stackable``, those of its fields that it only multiplies with
tensors or hands to the oracle as batch sizes. Replicates then lead with the settings: the first ``runs``
of them follow the first one.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
import torch

from theory_check.errors import InvalidArgumentError

Stacked = TypeVar("Stacked")


def can_be_stacked(solver: type) -> bool:
    """Return whether a class of solvers declares which of its settings may differ."""
    return bool(getattr(solver, "stackable", ()))


def same_program(solver: Any) -> tuple[object, ...]:
    """Return what has to agree between solvers that are stacked: all that is not ``stackable``."""
    varied = getattr(solver, "stackable", ())
    kept = [getattr(solver, field.name) for field in fields(solver) if field.name not in varied]
    return (type(solver), *kept)


def stack(solvers: Sequence[Stacked], runs: int) -> Stacked:
    """Return one solver that runs all of them side by side.

    Parameters
    ----------
    solvers
        Of one class, equal but for its ``stackable`` fields.
    runs
        Replicates of each.

    Raises
    ------
    InvalidArgumentError
        If they differ in another field.
    """
    if len({same_program(solver) for solver in solvers}) != 1:
        raise InvalidArgumentError(
            "solvers", "settings of several programs", "stack those of one same_program"
        )
    stacked = copy.copy(solvers[0])
    for name in stacked.stackable:  # type: ignore[attr-defined]
        values = [getattr(solver, name) for solver in solvers]
        whole = all(isinstance(value, int) for value in values)
        # Batch sizes go to the oracle, real numbers multiply tensors of shape (replicate, parameters).
        each: Any = np.repeat(np.array(values, dtype=np.int64 if whole else np.float64), runs)
        # Every solver was checked when it was made; a column is no value that a caller could pass.
        object.__setattr__(stacked, name, each if whole else torch.from_numpy(each)[:, None])
    return stacked


def join(states: Sequence[Stacked]) -> Stacked:
    """Return one state of all replicates, in order."""
    kept: dict[str, Any] = {}
    for field in fields(states[0]):  # type: ignore[arg-type]
        parts = [getattr(state, field.name) for state in states]
        kept[field.name] = torch.cat(parts) if isinstance(parts[0], torch.Tensor) else parts[0]
    return type(states[0])(**kept)
