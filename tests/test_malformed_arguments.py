"""No malformed argument of anything public ends in somebody else's error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "helpers" / "malformed.py"

FEWEST = 30_000
"""Calls; fewer would mean that a part of what is public was left out."""


@pytest.mark.slow
def test_every_malformed_argument_is_refused_by_name_or_taken() -> None:
    """Each call answers sensibly or raises one of the package's own errors, and soon."""
    finished = subprocess.run(
        [sys.executable, PROGRAM], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    found = json.loads(finished.stdout)
    assert [tuple(fault) for fault in found["faults"]] == []
    assert found["calls"] >= FEWEST
