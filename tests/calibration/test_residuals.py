"""Studies with the residuals of given curves: what is planted is what is fitted, and mistakes show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calibration.residuals import (
    RealCurves,
    main,
    planted_exponents,
    real_curves,
    residual_shares,
    stored_rates,
    study_statuses,
    tilted,
)
from theory_check.analysis.power_verdict import fit_rate
from theory_check.claims.rates import PowerRate
from theory_check.studies.verification import RunOptions, sweep

RATE = PowerRate(
    name="1/x",
    x="x",
    y="y",
    exponent=1.0,
    reciprocal=True,
    limit="infinity",
    better="larger",
    resolution=0.1,
    rivals=(0.5, 2.0, 3.0),
    y_units="value",
    x_symbol="$x$",
    y_symbol="$y$",
)
X = np.geomspace(2, 2000, 12)


def curves(exponent: float, deviation: float = 0.1, floor: float = 0.0) -> RealCurves:
    """16 replicates with noise that is correlated along x."""
    noise = np.random.default_rng(0).standard_normal((16, 12))
    noise = noise + np.roll(noise, 1, axis=1)
    return RealCurves("p", X, (X**-exponent + floor) * np.exp(deviation * noise))


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_the_planted_exponent_is_the_fitted_one(exponent: float) -> None:
    """By ``np.polyfit`` of the mean curve, which the module does not use."""
    real = curves(0.8)
    planted = tilted(RATE, real, exponent)
    assert np.polyfit(np.log(X), np.log(planted.mean(0)), 1)[0] == pytest.approx(-exponent)
    # Residuals are kept: all replicates are multiplied by the same curve.
    factor = planted / real.y
    np.testing.assert_allclose(factor, np.broadcast_to(factor[0], factor.shape))


def test_corrections_and_growth_are_tilted_too() -> None:
    rising = replace(
        RATE, reciprocal=False, limit="zero", exponent=2.0, rivals=(1.0,), correction="linear"
    )
    x = 1 / X
    noise = np.random.default_rng(0).standard_normal((16, 12))
    real = RealCurves("p", x[::-1], (x * np.exp(x) * np.exp(0.01 * noise))[:, ::-1])
    found = fit_rate(rising, real.x, tilted(rising, real, 2.0))
    assert found.exponent == pytest.approx(2.0)
    assert found.corrections == pytest.approx(fit_rate(rising, real.x, real.y).corrections)


def test_a_floor_stays_where_it_is() -> None:
    real = curves(1.0, deviation=0.01, floor=1e-2)
    before = fit_rate(RATE, real.x, real.y)
    assert before.floor_level == pytest.approx(1e-2, rel=0.05)
    planted = tilted(RATE, real, 1.5)
    after = fit_rate(RATE, X, planted)
    assert after.floor_level == pytest.approx(1e-2, rel=0.05)
    assert after.exponent == pytest.approx(-1.5, abs=0.05)


def test_what_is_planted() -> None:
    """Half a unit worse is the nearest declared rival here, and is planted once."""
    assert planted_exponents(RATE) == {
        "prediction": 1.0,
        "worse edge of the band": 0.9,
        "half a unit worse": 0.5,
        "half a unit better": 1.5,
    }
    growing = replace(RATE, better="smaller", exponent=2.0, rivals=(1.0, 0.0))
    assert planted_exponents(growing) == {
        "prediction": 2.0,
        "worse edge of the band": 2.1,
        "half a unit worse": 2.5,
        "half a unit better": 1.5,
        "nearest rival": 1.0,
    }


@pytest.mark.slow
def test_shares_say_how_often_a_verdict_is_wrong() -> None:
    """Noise 0.1 sqrt(2) in 12 correlated points, 16 replicates: standard errors below 0.01.

    The prediction is ten of them inside the band and the rivals forty outside. What is left is the
    test of lack of fit, which refuses 1 % of sound curves: more than 4 of 40 with probability below 1e-4.
    """
    found = residual_shares({"here": (RATE, (curves(0.8),)), "nowhere": (RATE, ())}, studies=40)
    found = found.set_index("planted")
    assert set(found["rate"]) == {"here"}
    assert found.loc["prediction", "tight"] >= 36 / 40
    assert found.loc["half a unit worse", "violated"] >= 36 / 40
    assert found.loc["half a unit better", "faster"] >= 36 / 40
    assert found.drop("worse edge of the band")["wrong"].tolist() == [0.0] * 3
    # Nothing in 40: at most 1 - 0.025^(1/40).
    np.testing.assert_allclose(
        found.loc["prediction", ["wrong_low", "wrong_high"]].astype(float),
        [0, 1 - 0.025 ** (1 / 40)],
    )
    alone = residual_shares({"here": (RATE, (curves(0.8),))}, studies=40).set_index("planted")
    pd.testing.assert_frame_equal(found, alone)


def test_a_rule_that_is_wrong_is_seen_to_be() -> None:
    """Judged against an exponent that is not planted: the calibration has to be able to fail.

    Lack of fit is alleged of 1 %: of more than 2 of 10 with probability below 1e-4.
    """
    generator = np.random.default_rng(0)
    other = replace(RATE, exponent=1.5, rivals=(1.0,))
    assert study_statuses(other, (curves(0.8),), 1.0, 10, generator).count("violated") >= 8
    # Half of the studies come from each problem; noise of 3 sqrt(2) is never within ± 0.1.
    wild = RealCurves("wild", X, curves(0.8, deviation=3.0).y)
    statuses = study_statuses(RATE, (curves(0.8), wild), 1.0, 20, generator)
    assert statuses[::2].count("tight") >= 8
    assert "tight" not in statuses[1::2]


def test_curves_that_cannot_be_fitted_are_left_out() -> None:
    rows = pd.DataFrame(
        {
            "problem": np.repeat(["good", "zero", "gap"], 24),
            "seed": np.tile(np.repeat([0, 1], 12), 3),
            "x": np.tile(X, 6),
            "y": 1.0,
        }
    )
    rows.loc[30, "y"] = 0.0
    rows.loc[60, "y"] = np.nan
    (found,) = real_curves(RATE, rows)
    assert found.problem == "good"
    assert found.y.shape == (2, 12)


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
    assert not any(reason.startswith("control-quartic") for reason in missing)
    assert main(["--store", str(store), "--quick", "--studies", "5"]) == 0
    out, err = capsys.readouterr()
    assert "left out, penalty-bias: " in err
    lines = [line for line in out.splitlines() if "control-quadratic" in line]
    assert [line.split("gradient")[1].split()[1] for line in lines][:1] == ["prediction"]
    assert len(lines) == 5
