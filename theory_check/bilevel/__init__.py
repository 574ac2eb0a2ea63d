"""What a solver may see of a bilevel problem, and what the loop and the recorder see of a solver.

    minimise over x   f(x, y*(x))      subject to   y*(x) in argmin_y g(x, y)

For RLHF, ``x`` is ``phi``, ``y`` is ``lambda``, ``f`` is ``G`` and ``g`` is ``-J``
(``docs/theory.md`` sections 1 and 3). Nothing here knows that. "Samples" are whatever the problem
counts: trajectories for the lower level, labelled pairs for the upper one; a problem without noise
ignores the numbers.
"""

from theory_check.bilevel.responses import (
    BilevelOracle,
    Coupling,
    LowerGradients,
    ResponseOracle,
    TotalGradient,
    UpperGradients,
)
from theory_check.bilevel.solver import Information, Solver, SolverState, Surrogate
from theory_check.bilevel.truth import AdjointSystem, BilevelTruth, ExactOracleInformation

__all__ = [
    "AdjointSystem",
    "BilevelOracle",
    "BilevelTruth",
    "Coupling",
    "ExactOracleInformation",
    "Information",
    "LowerGradients",
    "ResponseOracle",
    "Solver",
    "SolverState",
    "Surrogate",
    "TotalGradient",
    "UpperGradients",
]
