"""What a solver may see of a bilevel problem, and what the loop and the recorder see of a solver.

    minimise over x   f(x, y*(x))      subject to   y*(x) in argmin_y g(x, y)

For RLHF, ``x`` is ``phi``, ``y`` is ``lambda``, ``f`` is ``G`` and ``g`` is ``-J``
(``docs/theory.md`` sections 1 and 3). Nothing here knows that. "Samples" are whatever the problem
counts: trajectories for the lower level, labelled pairs for the upper one; a problem without noise
ignores the numbers.
"""

from theory_check.bilevel.capabilities import (
    CAPABILITIES,
    AdjointOracle,
    AdjointSystem,
    BilevelOracle,
    ContractionOracle,
    Coupling,
    DirectOracle,
    FirstOrderOracle,
    HypergradientOracle,
    ImplicitDataOracle,
    ImplicitObjectiveOracle,
    ImplicitUpperOracle,
    LowerChangeOracle,
    LowerGradients,
    LowerOracle,
    OpposedPreferenceOracle,
    OptimalLowerOracle,
    PairedLowerOracle,
    PenaltyOracle,
    PointwisePenaltyOracle,
    PreferenceOracle,
    TotalGradient,
    UpperGradients,
    UpperOracle,
)
from theory_check.bilevel.declarations import needs, operations
from theory_check.bilevel.differences import Combination, combined, penalties
from theory_check.bilevel.shortcuts import (
    DataShortcut,
    LowerShortcut,
    PenaltyLoop,
    PenaltyShortcut,
    data_shortcut,
    lower_shortcut,
    penalty_shortcut,
)
from theory_check.bilevel.solver import (
    Difference,
    HasInnerPenalties,
    Information,
    InnerPath,
    Solver,
    SolverState,
    Surrogate,
    TellsInnerPath,
    tells_inner_path,
)
from theory_check.bilevel.truth import BilevelTruth, ValueTruth

__all__ = [
    "CAPABILITIES",
    "AdjointOracle",
    "AdjointSystem",
    "BilevelOracle",
    "BilevelTruth",
    "Combination",
    "ContractionOracle",
    "Coupling",
    "DataShortcut",
    "Difference",
    "DirectOracle",
    "FirstOrderOracle",
    "HasInnerPenalties",
    "HypergradientOracle",
    "ImplicitDataOracle",
    "ImplicitObjectiveOracle",
    "ImplicitUpperOracle",
    "Information",
    "InnerPath",
    "LowerChangeOracle",
    "LowerGradients",
    "LowerOracle",
    "LowerShortcut",
    "OpposedPreferenceOracle",
    "OptimalLowerOracle",
    "PairedLowerOracle",
    "PenaltyLoop",
    "PenaltyOracle",
    "PenaltyShortcut",
    "PointwisePenaltyOracle",
    "PreferenceOracle",
    "Solver",
    "SolverState",
    "Surrogate",
    "TellsInnerPath",
    "TotalGradient",
    "UpperGradients",
    "UpperOracle",
    "ValueTruth",
    "combined",
    "data_shortcut",
    "lower_shortcut",
    "needs",
    "operations",
    "penalties",
    "penalty_shortcut",
    "tells_inner_path",
]
