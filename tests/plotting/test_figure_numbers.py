"""Numbers in figures: a true minus sign, no negative zero, and one place that writes them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from theory_check.analysis.intervals import Interval
from theory_check.catalogue import Catalogue
from theory_check.plotting import fixed, general, interval, label_sparsely, power_of_ten

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "paper_figures").rglob("*.py"))


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(-0.0004, 3, "0.000"), (-0.0006, 3, "−0.001"), (-0.0, 2, "0.00"), (1.005, 1, "1.0")],
)
def test_decimals(value: float, decimals: int, text: str) -> None:
    assert fixed(value, decimals) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (150.0, 3, "150"),
        (-2.5, 6, "−2.5"),
        (-0.0, 3, "0"),
        (1.14e7, 2, r"$1.1 \cdot 10^{7}$"),
        (1e6, 1, "$10^{6}$"),
        (-3e-7, 3, r"$-3 \cdot 10^{-7}$"),
    ],
)
def test_significant_digits(value: float, digits: int, text: str) -> None:
    assert general(value, digits) == text


def test_intervals_and_powers_of_ten() -> None:
    assert interval(Interval(-0.001, -0.06, 0.05), 2) == "0.00 [−0.06, 0.05]"
    assert [power_of_ten(value) for value in (1e10, 3e4, 0.05)] == [
        "$10^{10}$",
        r"$3 \cdot 10^{4}$",
        r"$5 \cdot 10^{-2}$",
    ]


def test_nothing_else_in_figures_writes_numbers() -> None:
    """A format such as ``.2f`` has a hyphen for a minus sign and a negative zero."""
    sources = [*SCRIPTS, *(ROOT / "theory_check" / "plotting").glob("*.py")]
    formatted = re.compile(r":z?[\d.]*[efg]}|%\.\d|\bround\(.*\)}|np\.format_float")
    assert len(sources) > 20
    assert [
        path.name
        for path in sources
        if path.name != "numbers.py" and formatted.search(path.read_text(encoding="utf-8"))
    ] == []


def test_no_label_has_a_fraction_bar() -> None:
    """Beside an axis, bars of fractions and roots run into what is under them."""
    labels = [
        getattr(rate, name)
        for claim in Catalogue.shipped().claims.values()
        for rate in claim.rates
        for name in ("x_symbol", "y_symbol")
    ]
    labels += [audit.symbol for audit in Catalogue.shipped().audits.values()]
    labels += [path.read_text(encoding="utf-8") for path in SCRIPTS]
    assert [label for label in labels if r"\frac" in label or r"\sqrt" in label] == []


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (1e-8, 1e-6, []),
        (4e-8, 2.5e-7, [r"$5 \cdot 10^{-8}$", r"$2 \cdot 10^{-7}$"]),
        (4.5e-8, 1.1e-7, [r"$5 \cdot 10^{-8}$"]),
        (3.15, 4.85, ["3.4", "3.8", "4.2", "4.6"]),
    ],
)
def test_minor_ticks_are_labelled_where_there_is_need(
    low: float, high: float, labels: list[str]
) -> None:
    axes = Figure(figsize=(3.4, 2.5)).add_subplot()
    axes.set(xscale="log", xlim=(low, high))
    label_sparsely(axes.xaxis)
    shown = [
        label.get_text()
        for label, place in zip(
            axes.get_xticklabels(minor=True), axes.xaxis.get_minorticklocs(), strict=True
        )
        if label.get_text() and low <= place <= high
    ]
    assert shown == labels
