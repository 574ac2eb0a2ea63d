"""The same problem with its kernel held as the rows of a sparse matrix, whatever its size."""

from __future__ import annotations

from dataclasses import replace

from scipy import sparse

from theory_check.problems import Problem
from theory_check.problems.dynamics import SparseDynamics


def with_rows(problem: Problem) -> Problem:
    """Return a problem whose kernel is sparse."""
    matrix = sparse.csr_array(problem.dynamics.dense("a test").flatten(0, 1).numpy())
    return replace(problem, transitions=SparseDynamics.of(matrix, problem.actions))
