"""Quantities whose worst instance is searched; a file in ``quantities/`` is found by being there."""

from theory_check.worst_cases.base import Evaluation, WorstCase

__all__ = ["Evaluation", "WorstCase"]
