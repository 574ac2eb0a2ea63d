from __future__ import annotations

import json
import re
from dataclasses import replace

import pandas as pd
import pytest
from scipy import stats

from theory_check.analysis import Verdict, judge
from theory_check.analysis.rate_verdict import RateVerdict
from theory_check.catalogue import Catalogue
from theory_check.claims.rates import BoundRate
from theory_check.errors import InvalidArgumentError
from theory_check.testing.claims import planted_bound

# Tables have 16 replicates of noise 0.1 at 180 points, so 0.025 a point. Where an exponent is
# identified its term holds half of the error at 4 points or more; the standard errors, a quarter of
# the intervals, are then 0.005 to 0.017 here. Each limit below is at least 8 of them away, or stated:
# a false alarm below 1e-14 for each, so the seed, 0, was not picked.

CLAIMS = {False: "bound-terms", True: "bound-terms-coupled"}
BOTH = pytest.mark.parametrize("coupled", [False, True], ids=["independent", "shared"])


def judged(table: pd.DataFrame, coupled: bool) -> RateVerdict:
    (verdict,) = judge(Catalogue.shipped().claim(CLAIMS[coupled]), table).rates
    return verdict


def test_an_uncertified_bias_leaves_the_verdict_alone() -> None:
    table = planted_bound(coupled=False)
    whole = judged(table, False)
    table.loc[table.index[0], "penalty_bias"] = float("nan")
    partial = judged(table, False)
    assert (partial.status, partial.measured) == (whole.status, whole.measured)
    assert partial.evidence["split"]["penalty_bias"] is None  # type: ignore[index]


@BOTH
def test_the_bound_itself_is_tight(coupled: bool) -> None:
    """Every exponent is within its band, 1/8 or 0.2, over ten standard errors of at most 0.012."""
    verdict = judged(planted_bound(coupled=coupled), coupled)
    assert verdict.status == "tight", verdict.reason
    assert "inner (mean share at most" in verdict.reason
    measured = verdict.measured["exponents"]
    assert isinstance(measured, dict)
    for name in ("optimisation 1/T", "bias sigma", "sampling 1/n"):
        found = measured["squared norm"][name]
        assert found["value"] == pytest.approx(2.0 if name == "bias sigma" else 1.0, abs=0.1)
        assert measured["norm"][name]["value"] == found["value"] / 2
    split = verdict.evidence["split"]
    assert isinstance(split, dict)
    assert split["penalty_bias"]["sigma"]["value"] == pytest.approx(2)
    assert split["sampling_error"]["trajectories"]["value"] == pytest.approx(-1)
    assert split["inner_error, largest batch"]["iterations"]["value"] == pytest.approx(-1)


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize(
    "exponents",
    [
        {"optimisation 1/T": 0.5},
        {"bias sigma": 1.0},
        {"sampling 1/n": 0.5},
        {"sampling 1/sigma": 3.0},
    ],
    ids=str,
)
def test_a_worse_exponent_is_violated(coupled: bool, exponents: dict[str, float]) -> None:
    """At least 0.3 beyond the resolution, and the interval's end two standard errors of 0.013 less."""
    verdict = judged(planted_bound(coupled=coupled, exponents=exponents), coupled)
    assert verdict.status == "violated", verdict.reason
    (name,) = exponents
    assert name in verdict.reason.rpartition(": ")[2]


@BOTH
def test_a_term_that_the_bound_lacks_is_violated(coupled: bool) -> None:
    """A floor as high as the error of the middle of the design: 84 or 85 % explained.

    Noise of variance 0.1²/16 moves that by 0.1 % or so; the limit is 90 %.
    """
    verdict = judged(planted_bound(coupled=coupled, extra=0.01), coupled)
    assert verdict.status == "violated", verdict.reason


def test_coupled_sampling_error_that_grows_with_1_over_sigma_is_violated() -> None:
    """The law of independent batches, judged as if they were shared."""
    table = planted_bound(coupled=False)
    assert judged(table, True).status == "violated"


@BOTH
def test_a_better_exponent_is_faster(coupled: bool) -> None:
    verdict = judged(planted_bound(coupled=coupled, exponents={"bias sigma": 3.0}), coupled)
    assert verdict.status == "faster", verdict.reason
    assert "bias sigma better" in verdict.reason


@BOTH
@pytest.mark.parametrize("term", ["optimisation", "bias", "sampling"])
def test_a_required_term_that_never_shows_decides_nothing(coupled: bool, term: str) -> None:
    verdict = judged(planted_bound(coupled=coupled, constants={term: 0.0}), coupled)
    assert verdict.status == "inconclusive", verdict.reason
    assert f"{term} dominates at too few design points" in verdict.reason


@pytest.mark.slow
@BOTH
def test_rarely_violated_when_true(coupled: bool) -> None:
    """Noise of 0.3, 12 tables with fixed seeds.

    None is violated: at a share of 1 % another choice of seeds would raise an alarm with
    probability 1 - 0.99^12 = 11 %. The intervals are at most three times those of noise 0.1, 0.2 wide
    inside bands of 0.25 and 0.4; fewer tight verdicts than the bound have probability below 1e-4
    where 99 % are.
    """
    statuses = [
        judged(planted_bound(coupled=coupled, deviation=0.3, seed=seed), coupled).status
        for seed in range(12)
    ]
    assert statuses.count("violated") == 0
    assert statuses.count("tight") >= stats.binom.ppf(1e-4, 12, 0.99)


@BOTH
def test_an_exponent_within_the_resolution_is_not_said_to_be_met(coupled: bool) -> None:
    """1.9 for 2: half of the resolution, and ten standard errors of 0.01 outside of the interval."""
    verdict = judged(planted_bound(coupled=coupled, exponents={"bias sigma": 1.9}), coupled)
    assert verdict.status == "tight", verdict.reason
    assert "every exponent that is identified lies inside its band" in verdict.reason
    assert "the interval of bias sigma excludes 2" in verdict.reason
    assert "contains its prediction" not in verdict.reason
    assert "but for" not in verdict.reason


def test_the_reason_names_a_better_exponent_that_decides_nothing() -> None:
    """The inner term is not required; sigma^-1.6 for sigma^-2, twice the resolution."""
    table = planted_bound(coupled=True, constants={"inner": 0.01}, exponents={"inner 1/sigma": 1.6})
    verdict = judged(table, True)
    assert verdict.status == "tight", verdict.reason
    assert "identified, but for inner 1/sigma, which decides nothing, lies" in verdict.reason
    assert "inner 1/sigma excludes 2" in verdict.reason


def test_what_single_terms_explain_is_a_share_or_words() -> None:
    """A fit of one term can be worse than the mean, which is no share to print."""
    table = planted_bound(coupled=False)
    verdict = judged(table, False)
    alone = verdict.evidence["explained_variance_alone"]
    assert isinstance(alone, dict)
    assert max(alone.values()) < 0
    assert ", no single term explains any of it; " in verdict.reason
    # With hardly anything but the first term, that term explains nearly all of it.
    small = dict.fromkeys(("bias", "sampling", "inner"), 1e-9)
    verdict = judged(planted_bound(coupled=False, constants=small), False)
    assert re.search(r", optimisation alone 9\d\.\d %; ", verdict.reason)
    assert "-" not in verdict.reason.partition(" alone ")[2].partition(";")[0]


@BOTH
def test_one_term_alone_does_not_show_the_sum(coupled: bool) -> None:
    """A gain that no design could reach: what the rate declares is what decides."""
    rate = Catalogue.shipped().claim(CLAIMS[coupled]).rates[0]
    assert isinstance(rate, BoundRate)
    claim = replace(
        Catalogue.shipped().claim(CLAIMS[coupled]), rates=(replace(rate, minimum_gain=3.0),)
    )
    # The gain is explained variance minus that of one term, which can be far below 0.
    verdict = judge(claim, planted_bound(coupled=coupled))
    assert verdict.status == "inconclusive"
    assert "alone explains nearly as much" in verdict.reason


def test_unusable_rows_are_not_judged() -> None:
    table = planted_bound(coupled=False)
    diverged = table.copy()
    diverged.iloc[3, diverged.columns.get_loc("status")] = "diverged"
    assert "1 of 2880 rows have status 'diverged'" in judged(diverged, False).reason
    missing = table.copy()
    missing.iloc[3, missing.columns.get_loc("ergodic_stationarity")] = float("nan")
    for bad, why in (
        (missing, "1 values that are missing"),
        (table.loc[table.seed == 0], "errors: shape"),
        (table.loc[table.iterations == 30].query("sigma == 0.3 and inner_steps < 4"), "6 points"),
    ):
        verdict = judged(bad, False)
        assert verdict.status == "inconclusive"
        assert why in verdict.reason
    with pytest.raises(InvalidArgumentError, match="same seed and design point"):
        judged(pd.concat([table, table.iloc[:1]]), False)


def test_the_record_is_json() -> None:
    verdict = judge(Catalogue.shipped().claim("bound-terms"), planted_bound(coupled=False))
    assert isinstance(verdict, Verdict)
    record = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))
    (evidence,) = record["evidence"]
    assert set(evidence["mean_shares"]) == {"optimisation", "bias", "sampling", "inner"}
    assert evidence["gain_over_optimisation"] > evidence["gain_over_best_term"] - 1e-12
    assert sum(share["value"] for share in evidence["mean_shares"].values()) == pytest.approx(1)
