"""Algorithms, one file each, written against ``theory_check.bilevel.BilevelOracle``.

``theory_check.solvers.PenaltyBilevel`` is the class of ``penalty_bilevel.py``; a new file is found
by being here, and passed on below.
"""

from theory_check.solvers.aho import AHO
from theory_check.solvers.alternating import Alternating
from theory_check.solvers.dpo_rounds import DPORounds
from theory_check.solvers.exact_hypergradient import ExactHypergradient
from theory_check.solvers.f2ba import F2BA
from theory_check.solvers.f2sa import F2SA
from theory_check.solvers.f3sa import F3SA
from theory_check.solvers.greedy_sampling import GreedySampling
from theory_check.solvers.hpgd import HPGD
from theory_check.solvers.m_sobirl import MSoBiRL
from theory_check.solvers.offline_rlhf import OfflineRLHF
from theory_check.solvers.online_dpo import OnlineDPO
from theory_check.solvers.parl import PARL
from theory_check.solvers.pbrl import PBRL
from theory_check.solvers.penalty_bilevel import PenaltyBilevel
from theory_check.solvers.sail import SAIL
from theory_check.solvers.sail_revkl import SAILRevKL
from theory_check.solvers.sobirl import SoBiRL
from theory_check.solvers.two_stage import TwoStage

__all__ = [
    "AHO",
    "F2BA",
    "F2SA",
    "F3SA",
    "HPGD",
    "PARL",
    "PBRL",
    "SAIL",
    "Alternating",
    "DPORounds",
    "ExactHypergradient",
    "GreedySampling",
    "MSoBiRL",
    "OfflineRLHF",
    "OnlineDPO",
    "PenaltyBilevel",
    "SAILRevKL",
    "SoBiRL",
    "TwoStage",
]
