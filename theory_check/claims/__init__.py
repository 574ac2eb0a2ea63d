"""One file per claim; a file that defines a ``Claim`` is found by being here."""

import sys

from theory_check.claims.base import Claim
from theory_check.discovery import instances
from theory_check.errors import require_choice


def all_claims() -> dict[str, Claim]:
    """Return every claim by its id."""
    return instances(sys.modules[__name__], Claim)


def get_claim(name: str) -> Claim:
    """Return the claim called ``name``, or refuse with the nearest known name."""
    claims = all_claims()
    require_choice("claim", name, claims)
    return claims[name]
