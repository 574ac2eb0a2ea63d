"""What is compared: trajectories or segments, their law, and the loss of their pairs."""

from theory_check.oracles.comparisons.laws import (
    Comparisons,
    DiscountedComparisons,
    EpisodicComparisons,
    comparisons_of,
)

__all__ = ["Comparisons", "DiscountedComparisons", "EpisodicComparisons", "comparisons_of"]
