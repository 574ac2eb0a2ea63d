"""Coverage of the intervals, false alarms and power of the verdicts: run by ``make calibrate``."""
