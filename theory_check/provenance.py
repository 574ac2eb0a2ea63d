"""Provenance of statements: where they come from, and the rate that a source states of its method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Provenance = Literal["V", "S", "D", "R"]

PROVENANCE_MEANING: Mapping[Provenance, str] = {
    "V": "stated in the abstract or text of the source",
    "S": "stated by a secondary source",
    "D": "derived in this project",
    "R": "reconstructed: consistent with what is known of the source, not quoted from it",
}

Accuracy = Literal["stationarity", "value gap"]
"""What an epsilon bounds: ``‖∇Phi‖²``, or what the policy loses in value, ``J* - J``."""

FOR_ACCURACY: Mapping[Accuracy, str] = {"stationarity": "", "value gap": " for a value gap"}
"""Behind what is counted: nothing where epsilon is what it is in most statements."""


@dataclass(frozen=True)
class StatedRate:
    """What a source states about a method.

    Attributes
    ----------
    exponent
        p in ``cost = O(epsilon^-p)``, logarithms left out.
    cost
        ``"samples"``, or ``"iterations"`` where the source counts nothing else.
    source
        Paper and theorem.
    provenance
        Its tag; see :data:`PROVENANCE_MEANING`.
    requires
        Where the statement speaks about that accuracy at all: ``"nothing"`` further, or a
        ``"realisable"`` reward and the excess risk.
    accuracy
        What epsilon bounds. The rate is judged in comparisons by this accuracy alone.
    """

    exponent: float
    cost: Literal["samples", "iterations"]
    source: str
    provenance: Provenance
    requires: Literal["nothing", "realisable"] = "nothing"
    accuracy: Accuracy = "stationarity"
