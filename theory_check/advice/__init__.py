"""Which settings reach a target accuracy with the fewest samples, and whether they do."""

from theory_check.advice.advisor import Advice, advise
from theory_check.advice.check import AdviceCheck, check_advice

__all__ = ["Advice", "AdviceCheck", "advise", "check_advice"]
