"""Statements across claims, one file each, found by being here."""

import sys

from theory_check.analysis.conclusions.base import Conclusion
from theory_check.discovery import instances

__all__ = ["Conclusion", "all_conclusions"]


def all_conclusions() -> dict[str, Conclusion]:
    """Return every conclusion by its id."""
    return instances(sys.modules[__name__], Conclusion)
