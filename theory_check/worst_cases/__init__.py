"""Quantities whose worst instance is searched; a file in ``quantities/`` is found by being there."""

from theory_check.discovery import instances
from theory_check.errors import require_choice
from theory_check.worst_cases import quantities
from theory_check.worst_cases.base import Evaluation, WorstCase

__all__ = ["Evaluation", "WorstCase", "all_worst_cases", "get_worst_case"]


def all_worst_cases() -> dict[str, WorstCase]:
    """Return every worst case by its id."""
    return instances(quantities, WorstCase)


def get_worst_case(name: str) -> WorstCase:
    """Return the worst case called ``name``, or refuse with the nearest known name."""
    known = all_worst_cases()
    require_choice("claim", name, known)
    return known[name]
