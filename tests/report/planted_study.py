"""A study whose verdicts are known: every kind of rate, on curves that follow it or do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from helpers.comparison_tables import TARGETS, method, planted

from theory_check.analysis.comparison import compare
from theory_check.catalogue import Catalogue
from theory_check.claims.base import Claim
from theory_check.claims.rates import (
    AttainedRate,
    CurveRate,
    GeometricRate,
    InequalityRate,
    PowerRate,
    RatioRate,
    ScheduleRate,
    UpperBoundRate,
)
from theory_check.measurements.base import Measurement
from theory_check.recording import Progress
from theory_check.runs import Report
from theory_check.runs.execute import RunOptions
from theory_check.studies import Judgement, Results, sweep
from theory_check.studies.comparison import Compared

SEEDS = 8
HOSTILE = "</script><script>document.title = 'taken over'</script>"


@dataclass(frozen=True)
class Slope:
    exponent: float


def slope(*, exponent: float) -> Slope:
    """Follow a power."""
    return Slope(exponent)


@dataclass(frozen=True)
class Curves(Measurement):
    """Powers of x with 1 % of noise, and what is made of them."""

    kind: ClassVar[str] = "curves"
    points: int = 9

    def measure(self, problem: Slope, seeds: Sequence[int], progress: Progress) -> pd.DataFrame:
        x = np.geomspace(0.01, 1.0, self.points)
        rows = []
        for seed in seeds:
            noise = np.exp(0.01 * np.random.default_rng(seed).standard_normal(x.size))
            y = x**problem.exponent * noise
            for at, value in enumerate(x):
                rows.append(
                    {
                        "seed": seed,
                        "x": value,
                        "step": at + 1.0,
                        "y": y[at],
                        "inverse": noise[at] / value**problem.exponent,
                        "decay": 0.1 ** (at + 1.0) * noise[0],
                        "bound": 2.0 * value,
                        "stated": value,
                        "noise": 1.0,
                        "sigma": 0.5,
                        "trajectories": 100,
                    }
                )
        return pd.DataFrame(rows)


EXPERIMENT = """\
measurement = "curves"
description = "Curves of a planted power."
seeds = {seeds}

[problems.{label}]
family = "slope"
exponent = {exponent}

[problems.{label}-again]
family = "slope"
exponent = {exponent}

[quick]
seeds = 4
"""

POWER = PowerRate(
    name="gradient",
    x="x",
    y="y",
    exponent=1.0,
    reciprocal=False,
    limit="zero",
    better="larger",
    resolution=0.1,
    rivals=(0.5, 1.5),
    y_units="value",
    x_symbol=r"$\sigma$",
    y_symbol=r"$\|\nabla\Phi_\sigma - \nabla\Phi\|$",
)
SYMBOLS = {"x_symbol": "$x$", "y_symbol": "$y$"}

_FIRST = Claim(
    "line", "y is of order x", "arXiv 2309.01753", "S", "measured", "Yes: a hill.", ("smooth",),
    "straight", (POWER,),
)  # fmt: skip
CLAIMS = {
    claim.id: claim
    for claim in (
        _FIRST,
        replace(_FIRST, id="line-fails", experiment="bent", provenance="D"),
        replace(_FIRST, id="control-line", experiment="bent", expected="violated"),
        replace(_FIRST, id="line-unknown", experiment="missing"),
        replace(
            _FIRST,
            id="bounded",
            statement=f"y stays below 2 {HOSTILE}",
            rates=(InequalityRate("below", "x", "y", None, 2.0, 0.0, **SYMBOLS),),
        ),
        replace(
            _FIRST, id="decays", rates=(GeometricRate("decay", "step", "decay", 2.0, **SYMBOLS),)
        ),
        replace(
            _FIRST,
            id="enough/3",
            rates=(ScheduleRate("half", "x", "y", "noise", 2.0, where={"sigma": 0.5}, **SYMBOLS),),
        ),
        replace(
            _FIRST,
            id="attained",
            source="docs/theory.md; the bound is that of enough/3",
            rates=(
                AttainedRate(
                    "cost", "x", "inverse", 1.0, (0.5, 1.5), 0.1, {}, minimum_decades=1.0, **SYMBOLS
                ),
            ),
        ),
        replace(_FIRST, id="at-most", rates=(UpperBoundRate(**vars(POWER)),)),
        replace(_FIRST, id="curve", rates=(CurveRate("curve", "x", "y", "bound", **SYMBOLS),)),
        replace(
            _FIRST,
            id="ratio",
            rates=(RatioRate("ratio", "x", "y", "stated", 0.1, (0.5, 1.5), **SYMBOLS),),
        ),
    )
}
THEMES = {name: "lines" if "line" in name else "other kinds" for name in CLAIMS}
FAILING, CAUGHT, UNJUDGED = "line-fails", "control-line", "line-unknown"


def catalogue_in(folder: Path) -> Catalogue:
    """Return the study, with its experiment files in a folder."""
    files = {}
    for label, exponent in (("straight", 1.0), ("bent", 0.5), ("missing", 3.0)):
        files[label] = folder / f"{label}.toml"
        files[label].write_text(EXPERIMENT.format(label=label, exponent=exponent, seeds=SEEDS))
    return Catalogue.of(
        measurements={"curves": Curves},
        families={"slope": slope},
        claims=CLAIMS,
        experiments=files,
    )


def judged_in(folder: Path) -> tuple[Results, list[Judgement]]:
    """Run two of the three experiments and judge all claims on what the store then holds."""
    catalogue = catalogue_in(folder)
    options = RunOptions(folder / "store", catalogue=catalogue)
    sweep(["straight", "bent"], options)
    results = sweep(catalogue.experiments.values(), replace(options, run=False))
    return results, [results.judge(claim) for claim in catalogue.claims.values()]


def compared_in(folder: Path) -> Compared:
    """Return a comparison of planted costs: b is cheap and does not reach all, a reaches everything."""
    known = {name: method(name, 2.0) for name in ("a", "b", "c")}
    costs = [
        planted("a", level=100.0),
        planted("b", level=10.0, failures={0.003: 16}),
        planted("c", exact=True),
        planted("a", problem="dale", level=50.0, targets=TARGETS[:3]),
        planted("b", problem="dale", failures=dict.fromkeys(TARGETS, 16), targets=TARGETS[:3]),
    ]
    table = pd.concat(costs, ignore_index=True)
    results = compare(table, pd.DataFrame(), known, {"hill": "", "dale": ""})
    return Compared(
        results,
        ("Compared: 3 methods on 2 problems.",),
        table,
        pd.DataFrame(),
        {"hill": 4, "dale": 4},
        Report((), (), ()),
        (),
        RunOptions(folder / "store", catalogue=catalogue_in(folder)),
    )
