"""Contracts of components, as functions that take one and say what is wrong with it.

The package keeps its own components to them in its tests, and ``theory-check check`` those of a study.
"""

from theory_check.testing.claims import check_claim
from theory_check.testing.components import check_class, check_problem
from theory_check.testing.contract import Check, failures
from theory_check.testing.solvers import check_solver
from theory_check.testing.study import StudyChecks, check_study

__all__ = [
    "Check",
    "StudyChecks",
    "check_claim",
    "check_class",
    "check_problem",
    "check_solver",
    "check_study",
    "failures",
]
