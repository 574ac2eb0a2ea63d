"""Sample complexities on planted tables whose exponent is known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from theory_check.analysis import judge, judge_complexity_rate
from theory_check.analysis.complexity_verdict import sample_exponent
from theory_check.claims.base import Claim, ComplexityRate
from theory_check.errors import InvalidArgumentError

RATE = ComplexityRate(
    name="1/accuracy",
    x="samples_per_log",
    plain_x="samples",
    y="accuracy",
    exponent=3.0,
    resolution=0.1,
    minimum_decades=2.0,
    x_symbol="$n$",
    y_symbol="$e$",
    where={"schedule": "total-3"},
)
TARGETS = np.geomspace(0.1, 5e-4, 8)


def planted(
    exponent: float,
    *,
    targets: np.ndarray = TARGETS,
    noise: float = 0.05,
    scatter: float = 0.5,
    floor: float = 0.0,
    seeds: int = 16,
    seed: int = 0,
) -> pd.DataFrame:
    """Samples ``accuracy**-exponent * log(1/accuracy)`` at each target, the accuracy noisy.

    The replicates' prefactors scatter, as those of different starting points do; every target
    is exceeded by the same factor on average.
    """
    rng = np.random.default_rng([7, seed])
    frames = []
    for index in range(seeds):
        prefactor = np.exp(scatter * rng.standard_normal())
        per_log = targets**-exponent
        frames.append(
            pd.DataFrame(
                {
                    "problem": "bandit",
                    "seed": index,
                    "schedule": "total-3",
                    "samples_per_log": per_log,
                    "samples": per_log * np.log(1 / targets),
                    "accuracy": prefactor
                    * targets
                    * np.exp(noise * rng.standard_normal(targets.size))
                    + floor,
                    "status": "ok",
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def status(table: pd.DataFrame, rate: ComplexityRate = RATE) -> tuple[str, str]:
    verdict = judge_complexity_rate(rate, table, "bandit")
    return verdict.status, verdict.reason


def test_exponent_is_minus_the_reciprocal_slope() -> None:
    # accuracy = samples**-(1/3) costs accuracy**-3.
    assert sample_exponent(-1 / 3) == pytest.approx(3.0)
    assert sample_exponent(0.0) == sample_exponent(0.2) == float("inf")


@pytest.mark.parametrize(
    ("exponent", "expected"),
    [(3.0, "tight"), (3.08, "tight"), (3.5, "violated"), (2.5, "faster")],
)
def test_status_follows_the_planted_exponent(exponent: float, expected: str) -> None:
    """Noise 0.05/4 per point over 8 points and 2.3 decades: a standard error of 7e-3 in 1/p.

    The slope is 1/p against samples; its standard error is 0.0125 over the root of the sum of
    squares of log samples, sqrt(8) * 1.75 p, or 2.5e-3 / p, so that of p is 2.5e-3 p.
    """
    verdict = judge_complexity_rate(RATE, planted(exponent), "bandit")
    assert verdict.status == expected
    low, high = verdict.measured["low"], verdict.measured["high"]
    assert exponent - 0.06 < low < verdict.measured["exponent"] < high < exponent + 0.06


def test_the_log_factor_is_what_separates_the_two_exponents() -> None:
    """Samples accuracy^-3 log(1/accuracy) have local exponents 3 + 1/log(1/accuracy).

    That is 3.43 at 0.1 and 3.13 at 5e-4; the fitted one lies between and is the least-squares
    slope. The resolution leaves room for the curvature, so that no point is trimmed.
    """
    coarse = replace(RATE, resolution=0.3)
    verdict = judge_complexity_rate(coarse, planted(3.0, noise=0.0), "bandit")
    plain = verdict.measured["log factor not modelled"]
    samples = TARGETS**-3 * np.log(1 / TARGETS)
    expected = -1 / np.polyfit(np.log(samples), np.log(TARGETS), 1)[0]
    assert 3.13 < expected < 3.43
    assert verdict.measured["exponent"] == pytest.approx(3.0, abs=1e-9)
    assert plain["exponent"] == pytest.approx(expected, abs=1e-9)  # type: ignore[index]
    assert f"{plain['exponent']:.2f}" in verdict.reason  # type: ignore[index]


def test_both_unit_conventions() -> None:
    verdict = judge_complexity_rate(RATE, planted(3.0), "bandit")
    assert verdict.predicted["squared norm"] == {"exponent": 3.0}
    assert verdict.predicted["norm"] == {"exponent": 6.0}
    measured = verdict.measured
    assert measured["norm"]["high"] == pytest.approx(2 * measured["high"])  # type: ignore[index,operator]


def test_too_few_decades_of_accuracy() -> None:
    short = planted(3.0, targets=np.geomspace(0.1, 2e-3, 8))
    assert status(short)[0] == "inconclusive"
    assert "too few decades of accuracy, 2 are needed" in status(short)[1]
    assert status(short, replace(RATE, minimum_decades=1.5))[0] == "tight"
    # Fewer samples than the claim asks for two decades: a bad exponent may be the start's.
    early = planted(4.0, targets=np.geomspace(0.1, 5e-3, 8))
    assert status(early)[0] == "inconclusive"


def test_samples_that_should_have_sufficed_refute_without_the_decades() -> None:
    # 1.5 decades of accuracy at p = 5 cost 7.5 decades of samples; at p = 3, 6 buy two.
    slow = planted(5.0, targets=np.geomspace(0.1, 3e-3, 8))
    assert status(slow) == ("violated", status(slow)[1])
    constant = planted(3.0)
    constant["accuracy"] = constant.groupby("seed")["accuracy"].transform("first")
    verdict = judge_complexity_rate(RATE, constant, "bandit")
    assert verdict.status == "violated"
    assert verdict.measured["exponent"] == float("inf") or verdict.measured["exponent"] > 1e6  # type: ignore[operator]


def test_wide_interval_floor_and_bad_rows() -> None:
    # A standard error of 0.25 per point is one of 2.5e-3 * 3 * 20 = 0.15 in p.
    wide = planted(3.0, noise=1.0)
    assert status(wide) == ("inconclusive", status(wide)[1])
    assert "wider than 0.4" in status(wide)[1]
    deep = np.geomspace(0.3, 3e-5, 14)
    floored = planted(3.0, targets=deep, floor=5e-4, scatter=0.0)
    assert status(floored)[0] == "inconclusive"
    assert "floor" in status(floored)[1]
    assert status(floored, replace(RATE, floor="refutes"))[0] == "violated"
    stopped = planted(3.0)
    stopped.loc[stopped["seed"] == 2, "status"] = "diverged"
    assert "status 'diverged' (seeds 2)" in status(stopped)[1]
    other = replace(RATE, where={"schedule": "total-2"})
    assert "no rows" in status(planted(3.0), other)[1]
    few = planted(3.0, targets=TARGETS[:3])
    assert "3 points, 4 are needed" in status(few)[1]
    zero = planted(3.0)
    zero.loc[0, "accuracy"] = 0.0
    assert "1 values are not positive" in status(zero)[1]
    with pytest.raises(InvalidArgumentError, match="no column 'samples'"):
        judge_complexity_rate(RATE, planted(3.0).drop(columns="samples"), "bandit")


def test_false_alarms_and_power_over_planted_tables() -> None:
    """60 tables each: at p = 3 at most 1 % violated, at p = 3.5 at least 95 %.

    Each bound is crossed with probability below 1e-4 when the true share is 1 % or 95 %.
    """
    trials = 60
    counts = {
        exponent: sum(
            status(planted(exponent, noise=0.2, seed=1 + trial))[0] == "violated"
            for trial in range(trials)
        )
        for exponent in (3.0, 3.5)
    }
    assert counts[3.0] <= stats.binom(trials, 0.01).isf(1e-4)
    assert counts[3.5] >= stats.binom(trials, 0.95).ppf(1e-4)


def capped_or_floored(
    means: np.ndarray, samples: np.ndarray, seeds: int, seed: int
) -> pd.DataFrame:
    """Rows whose accuracies scatter by 0.3 about ``means`` (natural logarithm, mean kept)."""
    rng = np.random.default_rng([11, seed])
    noise = np.exp(0.3 * rng.standard_normal((seeds, means.size)) - 0.045)
    return pd.DataFrame(
        [
            {
                "problem": "bandit",
                "seed": index,
                "schedule": "total-3",
                "samples_per_log": number,
                "samples": number,
                "accuracy": mean * factor,
                "status": "ok",
            }
            for index in range(seeds)
            for number, mean, factor in zip(samples, means, noise[index], strict=True)
        ]
    )


@pytest.mark.parametrize("seeds", [16, 48, 128])
def test_a_curve_that_bends_into_its_floor_is_caught_whatever_the_evidence(seeds: int) -> None:
    """Neither a power law nor one with a constant, but flat where it should fall fastest.

    Over the last half it falls by 4 % while the samples would have bought a factor 3 (p = 2.2): with
    0.3 scatter the slope there has a standard error of 0.3 / (4 sqrt(16)) / 2.5 per unit of log
    samples, 0.01, against a gap of 0.45. Missed with probability below 1e-9 a table.
    """
    rate = replace(RATE, exponent=2.0, resolution=0.2, floor="refutes")
    means = np.array([0.161, 0.126, 0.120, 0.112, 0.1115, 0.111])
    samples = np.array([2.4e4, 1.8e5, 1.0e6, 5.9e6, 3.7e7, 3.0e8])
    for seed in range(3):
        verdict = judge_complexity_rate(
            rate, capped_or_floored(means, samples, seeds, seed), "bandit"
        )
        assert verdict.status == "violated", verdict.reason


def test_a_flat_start_does_not_refute_the_tail() -> None:
    """``1 / (samples**(1/2) + cap)`` falls as promised where samples are many.

    In 40 tables a share of at most 1 % violated is exceeded by 5 or more with probability 1e-5.
    """
    rate = replace(RATE, exponent=2.0, resolution=0.2, floor="refutes")
    samples = np.geomspace(1.0, 1e4, 6)
    means = 0.1 / (samples**0.5 + 4.0)
    found = [
        judge_complexity_rate(rate, capped_or_floored(means, samples, 16, seed), "bandit").status
        for seed in range(40)
    ]
    assert found.count("violated") < 5


@pytest.mark.parametrize("audits", [None, {"bandit": {"smoothness": "not uniform"}}])
def test_a_claim_with_such_a_rate_is_judged_and_is_json(
    audits: dict[str, dict[str, str]] | None,
) -> None:
    claim = Claim("planted", "s", "here", "D", "measured", "Yes.", ("none",), "planted", (RATE,))
    verdict = judge(claim, planted(3.0), audits)
    record = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))
    assert record["status"] == ("tight" if audits is None else "assumption not met")
    assert record["predicted"][0]["norm"] == {"exponent": 6.0}
    if audits is None:
        assert record["evidence"][0]["decades_y"] > 2
