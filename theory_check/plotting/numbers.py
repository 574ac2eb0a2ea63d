"""Numbers in the text of figures: a minus sign that is one, and no negative zero."""

from __future__ import annotations

import math

from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter

from theory_check.analysis.intervals import Interval

MINUS = "\N{MINUS SIGN}"


def fixed(value: float, decimals: int) -> str:
    """Return a number with so many decimals."""
    return f"{value:z.{decimals}f}".replace("-", MINUS)


def general(value: float, digits: int = 6) -> str:
    """Return a number with so many significant digits, in mathtext where it needs a power of ten."""
    text = f"{value:z.{digits}g}"
    if "e" not in text:
        return text.replace("-", MINUS)
    rounded = power_of_ten(abs(float(text)))
    return rounded if value > 0 else f"$-{rounded[1:]}"


def power_of_ten(value: float) -> str:
    """Return a positive number as mantissa and power of ten, in mathtext."""
    mantissa, _, exponent = f"{value:.5e}".partition("e")
    factor = "" if float(mantissa) == 1 else rf"{float(mantissa):g} \cdot "
    return f"${factor}10^{{{int(exponent)}}}$"


def interval(found: Interval, decimals: int) -> str:
    """Return a number with its interval."""
    return found.text(lambda value: fixed(value, decimals))


def label_sparsely(axis: Axis) -> None:
    """Label the minor ticks of a logarithmic axis where there is need, and without overlaps.

    Beyond 1.5 decades the powers of ten are enough; below, 2 and 5 are labelled as well, and every
    other tick where a short axis may show none of these.
    """

    def text(value: float, position: int) -> str:
        low, high = sorted(math.log10(end) for end in axis.get_view_interval())
        if high - low < 0.4 and math.floor(high) < low:
            return "" if position % 2 else general(value, 3)
        mantissa = float(f"{value:.5e}".partition("e")[0])
        return power_of_ten(value) if high - low <= 1.5 and mantissa in (2.0, 5.0) else ""

    axis.set_minor_formatter(FuncFormatter(text))
