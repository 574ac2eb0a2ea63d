"""No malformed argument of anything public ends in somebody else's error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.fresh import printed_by

PROGRAM = Path(__file__).parent / "helpers" / "malformed.py"

FEWEST = 30_000
"""Calls; fewer would mean that a part of what is public was left out."""


@pytest.mark.slow
def test_every_malformed_argument_is_refused_by_name_or_taken(tmp_path: Path) -> None:
    """Each call answers sensibly or raises one of the package's own errors, and soon."""
    found = json.loads(printed_by(PROGRAM, folder=tmp_path))
    assert [tuple(fault) for fault in found["faults"]] == []
    assert found["calls"] >= FEWEST
