"""Algorithms, one file each, written against ``theory_check.bilevel.BilevelOracle``.

``theory_check.solvers.PenaltyBilevel`` is the class of ``penalty_bilevel.py``; a new file is found
by being here, and passed on below.
"""

import dataclasses
import sys
from typing import Any

from theory_check.discovery import classes, instances
from theory_check.solvers.aho import AHO
from theory_check.solvers.alternating import Alternating
from theory_check.solvers.exact_hypergradient import ExactHypergradient
from theory_check.solvers.f2ba import F2BA
from theory_check.solvers.f2sa import F2SA
from theory_check.solvers.f3sa import F3SA
from theory_check.solvers.hpgd import HPGD
from theory_check.solvers.m_sobirl import MSoBiRL
from theory_check.solvers.method import Method
from theory_check.solvers.offline_rlhf import OfflineRLHF
from theory_check.solvers.online_dpo import OnlineDPO
from theory_check.solvers.parl import PARL
from theory_check.solvers.pbrl import PBRL
from theory_check.solvers.penalty_bilevel import PenaltyBilevel
from theory_check.solvers.sobirl import SoBiRL

__all__ = [
    "AHO",
    "F2BA",
    "F2SA",
    "F3SA",
    "HPGD",
    "PARL",
    "PBRL",
    "Alternating",
    "ExactHypergradient",
    "MSoBiRL",
    "OfflineRLHF",
    "OnlineDPO",
    "PenaltyBilevel",
    "SoBiRL",
    "methods",
    "solver_classes",
]


def solver_classes() -> dict[str, type[Any]]:
    """Return every solver class by its name."""
    found = classes(sys.modules[__name__], object, "name")
    return {name: found[name] for name in sorted(found) if dataclasses.is_dataclass(found[name])}


def methods() -> dict[str, Method]:
    """Return every method that is compared, by its id."""
    found = instances(sys.modules[__name__], Method)
    return {name: found[name] for name in sorted(found)}
