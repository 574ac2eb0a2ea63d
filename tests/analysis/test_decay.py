import numpy as np
import pytest
from scipy import stats

from theory_check.analysis import compare_decay, fit_geometric
from theory_check.analysis.decay import _tail_slopes, usable_range
from theory_check.errors import InvalidArgumentError

LINEAR = np.arange(0.0, 201.0)
LOGARITHMIC = np.unique(np.round(np.geomspace(1, 1000, 30)))
GRIDS = {"linear": LINEAR, "logarithmic": LOGARITHMIC}


def replicated(curve: np.ndarray, noise: float, seed: int = 0) -> np.ndarray:
    """16 replicates; prefactors over four orders of magnitude."""
    rng = np.random.default_rng(seed)
    prefactors = np.geomspace(1e-2, 1e2, 16)[:, None]
    return prefactors * curve * np.exp(noise * rng.standard_normal((16, curve.size)))


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize(
    "curve",
    [
        lambda k: 0.5**k,
        lambda k: 0.9**k,
        lambda k: 0.99**k,
        lambda k: 0.9 * 0.3**k + 0.1 * 0.95**k,
        lambda k: 0.9 * 0.9**k + 0.1 * 0.98**k,
        lambda k: 0.8**k + 1e-16,
    ],
)
def test_geometric_decay_is_recognised(grid: str, noise: float, curve: object) -> None:
    """One seeded table per case; false decisions are counted over seeds below."""
    k = GRIDS[grid]
    assert compare_decay(k, replicated(curve(k), noise)).decision == "geometric"  # type: ignore[operator]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize(
    "curve",
    [
        lambda k: 1 / np.maximum(k, 1),
        lambda k: np.maximum(k, 1) ** -2.0,
        lambda k: (1 + k / 10) ** -2.0,
        lambda k: np.exp(-4 * k**0.25),
    ],
)
def test_power_laws_and_strong_stretching_are_recognised(
    grid: str, noise: float, curve: object
) -> None:
    k = GRIDS[grid]
    assert compare_decay(k, replicated(curve(k), noise)).decision == "power law"  # type: ignore[operator]


@pytest.mark.slow
def test_false_decisions_over_many_seeds() -> None:
    """A wrong decision has probability at most 2.5 % by the interval; 20 of 100 below 1e-10.

    Undecided is no error. The two answers are also required to be given at all, in half of the
    cases or more.
    """
    for curve, right, wrong in (
        (0.97**LINEAR, "geometric", "power law"),
        ((LINEAR + 1) ** -1.0, "power law", "geometric"),
    ):
        decisions = [
            compare_decay(LINEAR, replicated(curve, 0.3, seed)).decision for seed in range(100)
        ]
        assert decisions.count(wrong) < 20
        assert decisions.count(right) >= 50


def test_pure_noise_around_a_short_decay_is_undecided() -> None:
    k = np.arange(1.0, 13.0)
    # Over a factor of 12 and a noise of a factor 3, neither model can win.
    assert compare_decay(k, replicated(k**-0.5, 1.0)).decision == "undecided"


@pytest.mark.parametrize("rho", [0.5, 0.9, 0.99])
def test_rho_is_recovered(rho: float) -> None:
    fit = fit_geometric(LINEAR, replicated(rho**LINEAR, 0.05, seed=1))
    assert fit.rho.value == pytest.approx(rho, rel=1e-3)
    assert fit.rho.low < fit.rho.value < fit.rho.high
    assert fit.slope_ratio.value == pytest.approx(1, abs=0.05)
    assert fit.replicates == 16


def test_slowest_mode_decides_after_the_burn_in() -> None:
    curve = 0.9 * 0.3**LINEAR + 0.1 * 0.95**LINEAR
    fit = fit_geometric(LINEAR, replicated(curve, 0.0))
    assert fit.rho.value == pytest.approx(0.95, rel=1e-6)


def test_slowing_decay_has_a_small_slope_ratio() -> None:
    fit = fit_geometric(LINEAR, replicated(np.exp(-2 * np.sqrt(LINEAR)), 0.0))
    # Slopes of sqrt(k) over 20..110 and 110..200: (10.49-4.47)/90 and (14.14-10.49)/90.
    assert fit.slope_ratio.value == pytest.approx(0.61, abs=0.05)


def test_numerical_floor_is_excluded() -> None:
    rng = np.random.default_rng(2)
    y = 0.5**LINEAR + 2e-16 * rng.standard_normal(LINEAR.size)
    start, stop = usable_range(LINEAR, y, 0.0)
    assert start == 1  # k = 0 has no logarithm
    # 0.5**k reaches the jitter of 2e-16 at k = 52, and ten times it at k = 49.
    assert 40 <= stop <= 51
    fit = fit_geometric(LINEAR, np.stack([y, y]))
    assert fit.rho.value == pytest.approx(0.5, rel=0.01)


def test_zeros_and_negative_values_end_the_usable_points() -> None:
    y = 0.5**LINEAR
    y[45:] = 0.0
    assert usable_range(LINEAR, y, 0.0) == (1, 41)  # 0.5**44 * 10 lies between k = 40 and 41
    y[45:] = -1e-17
    assert usable_range(LINEAR, y, 0.0) == (1, 41)


def test_plateau_is_excluded() -> None:
    y = 0.9**LINEAR + 1e-3
    _, stop = usable_range(LINEAR, y, 0.0)
    # y = 1e-2 where 0.9**k = 9e-3: k = 44.7, so k = 1 .. 44 are usable.
    assert stop == 45


def test_curve_that_never_decays_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="usable points"):
        compare_decay(LINEAR, np.ones((3, LINEAR.size)))


def test_bad_input_is_refused() -> None:
    good = replicated(0.9**LINEAR, 0.0)
    with pytest.raises(InvalidArgumentError, match="1 replicate"):
        fit_geometric(LINEAR, good[0])
    with pytest.raises(InvalidArgumentError, match="shape"):
        fit_geometric(LINEAR[:-1], good)
    with pytest.raises(InvalidArgumentError, match="finite"):
        fit_geometric(LINEAR, np.full_like(good, np.nan))
    with pytest.raises(InvalidArgumentError, match="at least 6 points"):
        compare_decay(LINEAR[:5], good[:, :5])
    with pytest.raises(InvalidArgumentError, match="margin"):
        compare_decay(LINEAR, good, margin=-1.0)
    with pytest.raises(InvalidArgumentError, match="burn_in"):
        fit_geometric(LINEAR, good, burn_in=1.0)


def test_tail_slopes_match_one_regression_per_tail() -> None:
    rng = np.random.default_rng(3)
    x = np.log(np.arange(1.0, 21.0))
    y = rng.standard_normal(20) - x
    slopes, errors = _tail_slopes(x, y)
    for start in range(18):
        expected = stats.linregress(x[start:], y[start:])
        assert slopes[start] == pytest.approx(expected.slope)
        assert errors[start] == pytest.approx(expected.stderr)
