"""The numbers that the pages quote are those of the run whose verdicts are kept beside them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.pages import ROOT

from theory_check.catalogue import Catalogue

DOCS = ROOT / "docs"
RECORDED: dict[str, dict[str, Any]] = json.loads((DOCS / "results.json").read_text("utf-8"))

ESTIMATE = re.compile(r"(-?\d+\.?\d*) \[(-?\d+\.?\d*), (-?\d+\.?\d*)\]")
"""An estimate with its interval."""

ELSEWHERE = {
    "0.977 [0.965, 0.989]": "outer-ergodic with 64 starts, run once",
    "2.15 [1.95, 2.37]": "the step times the curvature of an audit",
    "0.075 [0.020, 0.129]": "the table of overoptimisation: what the exact response loses",
    "0.32 [0.14, 0.62]": "the same: height of its peaks",
    "0.64 [0.36, 0.95]": "the same: height of the peaks of alternating learning",
    "0.655 [0.650, 0.660]": "a small version, held to what the command prints",
}
"""What is quoted of other runs."""

Interval = tuple[list[float], float, float]


def intervals(value: Any) -> Iterator[Interval]:
    """Yield (numbers that may be the estimate, low, high) of all that is recorded."""
    if isinstance(value, dict):
        if "low" in value and value["low"] is not None:
            numbers = [each for each in value.values() if isinstance(each, float | int)]
            yield numbers, value["low"], value["high"]
        for each in value.values():
            yield from intervals(each)
    elif isinstance(value, list):
        for each in value:
            yield from intervals(each)


def rounds_to(value: float, quoted: str) -> bool:
    """Return whether a number may be quoted so, after a rounding to six digits."""
    places = len(quoted.partition(".")[2])
    return abs(value - float(quoted)) <= 0.5001 * 10**-places + 1e-5 * abs(value)


def unrecorded(text: str, recorded: Any) -> list[str]:
    """Return the estimates of a page that no recorded one rounds to."""
    known = list(intervals(recorded))
    flat = re.sub(r"\s+", " ", text.replace("−", "-"))
    return [
        found[0]
        for found in ESTIMATE.finditer(flat)
        if found[0] not in ELSEWHERE
        and not any(
            rounds_to(low, found[2])
            and rounds_to(high, found[3])
            and any(rounds_to(each, found[1]) for each in numbers)
            for numbers, low, high in known
        )
    ]


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "results.md"], ids=lambda p: p.name)
def test_every_estimate_is_recorded(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(ESTIMATE.findall(re.sub(r"\s+", " ", text.replace("−", "-")))) >= 5
    assert unrecorded(text, RECORDED) == []


def test_a_planted_number_is_found() -> None:
    recorded = {"a": {"measured": [{"exponent": 1.994, "low": 1.98, "high": 2.008, "at": 3}]}}
    text = "1.99 [1.98, 2.01], 1.99 [1.97,\n2.01], −1.99 [1.98, 2.01], 3.00 [1.98, 2.01]"
    assert unrecorded(text, recorded) == ["1.99 [1.97, 2.01]", "-1.99 [1.98, 2.01]"]


def test_every_claim_of_the_package_is_recorded() -> None:
    assert set(RECORDED) == set(Catalogue.shipped().claims)
