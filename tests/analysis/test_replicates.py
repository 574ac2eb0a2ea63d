import numpy as np
import pytest
from scipy import stats

from theory_check.analysis.intervals import mean_interval
from theory_check.analysis.replicates import average_curve, half_width


def test_influence_is_the_jackknife_of_the_log_mean() -> None:
    curves = np.array([[1.0, 2.0], [3.0, 2.0], [5.0, 8.0]])
    curve = average_curve(curves, "mean")
    without = np.log([[4.0, 5.0], [3.0, 5.0], [2.0, 2.0]])  # means without row 0, 1, 2
    np.testing.assert_allclose(curve.log_average, np.log([3.0, 4.0]))
    np.testing.assert_allclose(curve.influence, -2 * (without - without.mean(axis=0)))
    contrast = np.array([-1.0, 1.0])
    jackknife = without @ contrast
    expected = np.sqrt(2 / 3 * ((jackknife - jackknife.mean()) ** 2).sum())
    assert curve.standard_error(contrast) == pytest.approx(expected)


def test_the_average_survives_extreme_magnitudes() -> None:
    curve = average_curve(np.array([[1e300, 1e-300], [1e300, 1e-300]]), "mean")
    np.testing.assert_allclose(curve.log_average, np.log([1e300, 1e-300]))


def test_few_replicates_use_student_and_none_of_the_randomness() -> None:
    curves = np.exp(np.random.default_rng(0).standard_normal((4, 3)))
    curve = average_curve(curves, "geometric")
    contrast = np.array([-0.5, 0.0, 0.5])
    values = np.log(curves) @ contrast
    expected = stats.t.ppf(0.975, 3) * values.std(ddof=1) / 2
    assert half_width(curve, contrast, 100, np.random.default_rng(1)) == pytest.approx(expected)


@pytest.mark.parametrize("average", ["mean", "geometric"])
def test_bootstrap_half_width_matches_resampling_by_a_loop(average: str) -> None:
    rng = np.random.default_rng(2)
    curves = np.exp(0.3 * rng.standard_normal((10, 4)))
    contrast = np.array([-1.0, -0.5, 0.5, 1.0])
    curve = average_curve(curves, average)  # type: ignore[arg-type]
    found = half_width(curve, contrast, 400, np.random.default_rng(3))
    weights = np.random.default_rng(3).multinomial(10, np.full(10, 0.1), size=400)

    def statistic(rows: np.ndarray) -> tuple[float, float]:
        if average == "geometric":
            each = np.log(rows) @ contrast
            return float(each.mean()), float(each.std(ddof=1))
        each = rows @ (contrast / rows.mean(axis=0))
        return float(np.log(rows.mean(axis=0)) @ contrast), float(each.std(ddof=1))

    centre, spread = statistic(curves)
    ratios = []
    for counts in weights:
        value, scale = statistic(np.repeat(curves, counts, axis=0))
        ratios.append(abs(value - centre) / (scale / np.sqrt(10)))
    assert found == pytest.approx(np.quantile(ratios, 0.95) * spread / np.sqrt(10))


def test_mean_interval_is_students() -> None:
    values = np.array([1.0, 2.0, 4.0])
    interval = stats.t.interval(0.95, 2, loc=values.mean(), scale=stats.sem(values))
    found = mean_interval(values)
    assert (found.low, found.high) == pytest.approx(interval)


def test_no_interval_reaches_beyond_the_farthest_replicate() -> None:
    """Starts of one exponent each, one of which has a thousand times the size of the others.

    Studentised resamples without that start have next to no error: their quantile would be an interval of
    0.3 for exponents that differ by 0.01.
    """
    generator = np.random.default_rng(5)
    x = np.geomspace(0.01, 1.0, 9)
    slopes = 2.0 + 0.003 * generator.standard_normal(16)
    sizes = np.where(np.arange(16) < 3, 1.0, 1e-3) * np.exp(generator.standard_normal(16))
    curves = sizes[:, None] * x ** slopes[:, None]
    centred = np.log(x) - np.log(x).mean()
    contrast = centred / (centred @ centred)
    curve = average_curve(curves, "mean")
    slope = float(curve.log_average @ contrast)
    reach = half_width(curve, contrast, 2000, np.random.default_rng(0))
    assert reach <= np.abs(slopes - slope).max() * (1 + 1e-9)
    assert reach >= np.abs(slopes[:3] - slope).max() / 3  # nor is it that of the small ones


def test_ordinary_replicates_are_not_affected_by_that_limit() -> None:
    """Of 16 normal logarithms the farthest is beyond 1.2 standard deviations but for a chance of 1e-7."""
    generator = np.random.default_rng(6)
    x = np.geomspace(0.01, 1.0, 9)
    curves = x**2 * np.exp(0.2 * generator.standard_normal((16, 9)))
    centred = np.log(x) - np.log(x).mean()
    contrast = centred / (centred @ centred)
    curve = average_curve(curves, "mean")
    reach = half_width(curve, contrast, 2000, np.random.default_rng(0))
    farthest = np.abs(np.log(curves) @ contrast - curve.log_average @ contrast).max()
    assert reach < 0.6 * farthest
