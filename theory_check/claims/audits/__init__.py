"""One file per audit; a file that defines an ``Audit`` is found by being here."""

import sys

from theory_check.claims.audits.base import Audit
from theory_check.discovery import instances
from theory_check.errors import require_choice


def all_audits() -> dict[str, Audit]:
    """Return every audit by its id."""
    return instances(sys.modules[__name__], Audit)


def get_audit(name: str) -> Audit:
    """Return the audit called ``name``, or refuse with the nearest known name."""
    audits = all_audits()
    require_choice("audit", name, audits)
    return audits[name]
