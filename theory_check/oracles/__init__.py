"""What can be known of a problem: exactly, or by sampling with every sample counted."""

from theory_check.oracles.exact import ExactOracle

__all__ = ["ExactOracle"]
