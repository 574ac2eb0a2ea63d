"""A band that could not tell an exponent from its nearest rival is refused where it is declared."""

from dataclasses import replace

import pytest

from theory_check.catalogue import Catalogue
from theory_check.claims.rates import PowerRate
from theory_check.errors import InvalidArgumentError

RATES = {
    f"{claim.id}, {rate.name}": rate
    for claim in Catalogue.shipped().claims.values()
    for rate in claim.rates
    if isinstance(rate, PowerRate)
}


@pytest.mark.parametrize("name", RATES)
def test_every_band_is_within_a_quarter_of_the_gap(name: str) -> None:
    """Recomputed here, and the check itself refuses what is just beyond."""
    rate = RATES[name]
    gap = min(abs(rival - rate.exponent) for rival in rate.rivals)
    assert 0 < 4 * rate.resolution <= gap
    replace(rate, resolution=gap / 4)
    with pytest.raises(InvalidArgumentError, match=r"resolution: received .* a quarter of the gap"):
        replace(rate, resolution=1.001 * gap / 4)


def test_rivals_are_declared_and_differ_from_the_exponent() -> None:
    rate = RATES["outer-ergodic, 1/T"]
    for rivals in ((), (1.0,), (0.5, 1.0)):
        with pytest.raises(InvalidArgumentError, match="rivals"):
            replace(rate, rivals=rivals)
    with pytest.raises(InvalidArgumentError, match="resolution"):
        replace(rate, resolution=0.0)
    # The nearest decides, not the first.
    with pytest.raises(
        InvalidArgumentError, match=r"pass at most 0.025, .* to its nearest rival 0.9"
    ):
        replace(rate, rivals=(2.0, 0.9))
