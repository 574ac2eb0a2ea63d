"""Calibration on stored tables: what is read, and what is said to be missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from theory_check.cli.calibrate import main, stored_rates
from theory_check.verification import RunOptions, sweep


@pytest.fixture
def store(tmp_path: Path) -> Path:
    sweep(["control-quadratic"], RunOptions(tmp_path / "store", quick=True))
    return tmp_path / "store"


@pytest.mark.slow
def test_stored_claims_are_judged_and_others_named(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rates, missing = stored_rates(store, quick=True)
    assert list(rates) == ["control-quadratic, gradient"]
    assert any(reason.startswith("penalty-bias: ") for reason in missing)
    # Negative controls state an exponent that is not theirs.
    assert not any("quartic" in reason for reason in missing)
    assert main(["--store", str(store), "--quick", "--studies", "5"]) == 0
    out, err = capsys.readouterr()
    assert "left out, penalty-bias: " in err
    lines = [line for line in out.splitlines() if "control-quadratic" in line]
    assert [line.split("gradient")[1].split()[1] for line in lines][:1] == ["prediction"]
    assert len(lines) == 5
