"""Solvers configured through the methods that are compared, without a table of solvers."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from theory_check.bilevel import AdjointSystem, Surrogate
from theory_check.catalogue import installed
from theory_check.solvers.method import Method, Scales
from theory_check.solvers.states import EstimatesHypergradient

EPSILON = 0.25
SCALES = Scales(outer_step=0.2, inner_step=0.2, kl_weight=1.0, sigma=1.0, batch=4.0)

METHODS = pytest.mark.parametrize(
    "method", installed().methods.values(), ids=list(installed().methods)
)


def chosen(**attributes: object) -> pytest.MarkDecorator:
    """Return the methods whose record, or whose solver, has these attributes."""
    found = {
        name: method
        for name, method in installed().methods.items()
        if all(
            getattr(method if hasattr(method, key) else method.solver, key) == value
            for key, value in attributes.items()
        )
    }
    assert found
    return pytest.mark.parametrize("method", found.values(), ids=list(found))


def estimating(target: str) -> pytest.MarkDecorator:
    """Return the methods whose estimates are of ``∇Phi`` (``"hypergradient"``) or ``∇Phi_sigma``."""
    found = {
        name: method for name, method in installed().methods.items() if _target(method) == target
    }
    assert found
    return pytest.mark.parametrize("method", found.values(), ids=list(found))


def _target(method: Method) -> str:
    solver = configured(method)
    if isinstance(solver, EstimatesHypergradient):
        return "hypergradient"
    if not isinstance(solver, Surrogate) and solver.penalty is None:
        return "other"
    # A surrogate of one's own, such as a two-point one, has no sigma.
    return "penalised" if hasattr(solver, "sigma") else "surrogate"


def configured(method: Method, scales: Scales = SCALES, **changes: object) -> Any:
    """Return the solver of the setting with the smallest steps, with the changes that it can have."""
    gentlest = min(method.grid, key=lambda constants: constants["step_size"])
    return changed(method.configure(EPSILON, gentlest, scales).solver, **changes)


def changed(record: Any, **changes: object) -> Any:
    """Return a dataclass with those of the changes that are fields of it."""
    names = {field.name for field in dataclasses.fields(record)}
    return dataclasses.replace(record, **{n: v for n, v in changes.items() if n in names})


def dense(system: AdjointSystem) -> Tensor:
    """Return the matrix of a linear system, column by column."""
    right = system.right_hand_side
    columns = torch.eye(right.shape[1], dtype=right.dtype)
    return torch.stack([system.apply(c.expand_as(right)) for c in columns], dim=-1)


def solved(system: AdjointSystem) -> Tensor:
    """Return the solution of a linear system by elimination."""
    return torch.linalg.solve(dense(system), system.right_hand_side)
