"""One file per kind of measurement, found by being here."""

import sys

from theory_check.discovery import classes
from theory_check.runs.measurements.base import Measurement, Progress

__all__ = ["Measurement", "Progress", "measurement_classes"]


def measurement_classes() -> dict[str, type[Measurement]]:
    """Return every measurement class by its ``kind``."""
    # The base class is abstract on purpose: it only names what is searched for.
    return classes(sys.modules[__name__], Measurement, "kind")  # type: ignore[type-abstract]
