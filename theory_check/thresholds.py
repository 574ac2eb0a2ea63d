"""Levels that a measurement and the claims about it share, with nothing to import.

A measurement that imported its claim would have the claims among the sources of its cells; a claim that
imported its measurement would import numerics.
"""

VANISHED = 1e-6
"""A floor at most this large counts as none: reward units, or nats (``docs/theory.md`` section 5.7)."""

NEGLIGIBLE = 0.01
"""``eps'`` of weak gradient domination, as a share of the largest gap of a run (section 5.9)."""

NO_SLOPE = 1e-15
"""Squared gradient over twice the gap, nats: below is rounding of a zero (``docs/theory.md`` 7.11)."""
