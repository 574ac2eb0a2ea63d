"""One file per kind of measurement, found by being here."""

from theory_check.measurements.base import Measurement

__all__ = ["Measurement"]
