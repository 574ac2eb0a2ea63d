"""What tables and listings say of claims."""

from __future__ import annotations

from collections.abc import Sequence

from theory_check.claims.base import CONTROLS, KIND_MEANING, Claim


def kind_of(claim: Claim) -> str:
    """Return the kind of a claim in words, and that it is a negative control where it is one."""
    return claim.kind + (", negative control" if claim.expected in CONTROLS else "")


def counted(claims: Sequence[Claim]) -> str:
    """Return how many claims there are of each kind, in the order of the kinds' meanings."""
    kinds = ["negative control" if claim.expected in CONTROLS else claim.kind for claim in claims]
    numbers = [
        f"{kinds.count(kind)} {kind}"
        for kind in (*KIND_MEANING, "negative control")
        if kind in kinds
    ]
    return f"{len(claims)} claim{'' if len(claims) == 1 else 's'} ({', '.join(numbers)})"
