"""What a verdict on one rate and problem is, and the rows of a table that it is about."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from theory_check.analysis.decay import GeometricFit
from theory_check.analysis.intervals import Interval, in_both_units
from theory_check.analysis.power_law import PowerLawFit
from theory_check.claims.rates import Rate
from theory_check.errors import InvalidArgumentError, nearest, require_instance, require_text

Status = Literal["tight", "holds", "faster", "violated", "inconclusive", "assumption not met"]

NOTHING = "-"
"""What reports show in place of a number that was not measured."""

BRIEF = 20
"""Letters of a number with its interval where there is room for one alone."""

Row = tuple[str, str, str]
"""A line of a report: name, what was measured, what is predicted."""


class Numbers(ABC):
    """What a rate predicts and what was measured; each judge has its own kind."""

    estimate: Interval | None
    """The number that is judged, None where nothing was fitted."""

    @abstractmethod
    def predicted(self) -> dict[str, object]:
        """Return what is predicted, ready for JSON."""

    @abstractmethod
    def measured(self) -> dict[str, object]:
        """Return what was measured, ready for JSON; empty where nothing was fitted."""

    @abstractmethod
    def rows(self, name: str) -> Iterator[Row]:
        """Yield the lines that a report has for the rate called ``name``."""

    def brief(self) -> tuple[str, str]:
        """Return what was measured and what is predicted where there is room for one number each."""
        _, measured, predicted = next(iter(self.rows("")))
        return measured, predicted


@dataclass(frozen=True)
class Exponents(Numbers):
    """An exponent, in the variable of its rate.

    Attributes
    ----------
    stated
        What is predicted; an interval where the judge states its ends as well.
    estimate
        What was fitted.
    units
        Factors that take both to accuracies as norms and as squared norms; None where the distinction
        has no meaning, or nothing was judged.
    stated_besides, measured_besides
        What else is predicted and was measured, ready for JSON.
    """

    stated: float | Interval
    estimate: Interval | None = None
    units: tuple[float, float] | None = None
    stated_besides: Mapping[str, object] = field(default_factory=dict)
    measured_besides: Mapping[str, object] = field(default_factory=dict)

    def predicted(self) -> dict[str, object]:
        """Return the predicted exponent, in both units where there are two."""
        return {**self._record(self.stated), **self.stated_besides}

    def measured(self) -> dict[str, object]:
        """Return the fitted exponent with its interval, in both units where there are two."""
        if self.estimate is None:
            return {}
        return {**self._record(self.estimate), **self.measured_besides}

    def rows(self, name: str) -> Iterator[Row]:
        """Yield the one line of the exponent."""
        found = NOTHING if self.estimate is None else self._text(self.estimate)
        yield name, found, self._text(self.stated)

    def brief(self) -> tuple[str, str]:
        """Return both in the variable of the rate alone."""
        stated = f"{self.stated:.4g}" if isinstance(self.stated, Interval) else f"{self.stated:g}"
        return _briefly(self.estimate), stated

    def _record(self, exponent: float | Interval) -> dict[str, object]:
        numbers: dict[str, object] = (
            dict(exponent.record("exponent"))
            if isinstance(exponent, Interval)
            else {"exponent": exponent}
        )
        if self.units is None:
            return numbers
        norm, squared_norm = self.units
        return {**numbers, **in_both_units(numbers, norm=norm, squared_norm=squared_norm)}

    def _text(self, exponent: float | Interval) -> str:
        if self.units is None:
            return exponent_text(exponent)
        norm, squared_norm = (exponent_text(exponent, factor) for factor in self.units)
        return f"{squared_norm} squared, {norm} norm"


def exponent_text(exponent: float | Interval, factor: float = 1.0) -> str:
    """Return ``factor`` times an exponent as reports show it."""
    if isinstance(exponent, Interval):
        return f"{exponent.scaled(factor):z.3f}"
    return f"{factor * exponent:g}"


@dataclass(frozen=True)
class Growth(Numbers):
    """How the ratio of accuracy to target grows as the target falls.

    Attributes
    ----------
    most_growth, most_ratio
        What neither the exponent nor the ratio may exceed.
    estimate
        Exponent of the ratio in 1/target.
    targets, ratios
        Targets, descending, and the mean ratio over the replicates at each.
    replicates
        How many there are.
    """

    most_growth: float
    most_ratio: float
    estimate: Interval | None = None
    targets: tuple[float, ...] = ()
    ratios: tuple[Interval, ...] = ()
    replicates: int = 0

    def predicted(self) -> dict[str, object]:
        """Return what the ratio is to do."""
        return {"growth": f"<= {self.most_growth:g}", "ratio": f"<= {self.most_ratio:g}"}

    def measured(self) -> dict[str, object]:
        """Return the exponent with its interval, and the ratios."""
        if self.estimate is None:
            return {}
        return {
            **self.estimate.record("growth"),
            "ratio": [ratio.value for ratio in self.ratios],
            "ratio low": [ratio.low for ratio in self.ratios],
            "ratio high": [ratio.high for ratio in self.ratios],
            "targets": list(self.targets),
            "replicates": self.replicates,
        }

    def rows(self, name: str) -> Iterator[Row]:
        """Yield one line without numbers: the reason has the course of the ratio."""
        yield name, NOTHING, NOTHING

    def brief(self) -> tuple[str, str]:
        """Return the exponent of the growth."""
        return _briefly(self.estimate), f"<= {self.most_growth:g}"


def _briefly(found: Interval | None) -> str:
    """Return a number with its interval to three decimals, to two where that is too long."""
    if found is None:
        return NOTHING
    exact = f"{found:z.3f}"
    return exact if len(exact) <= BRIEF else f"{found:z.2f}"


@dataclass(frozen=True)
class RateVerdict:
    """Whether one rate holds on one problem.

    Attributes
    ----------
    rate, problem
        Names.
    status
        ``"tight"``, ``"holds"``, ``"faster"``, ``"violated"``, ``"inconclusive"`` or
        ``"assumption not met"``. ``"holds"`` is that of an inequality that was kept, which says
        nothing about whether it could be sharper; ``"tight"`` is that of an exponent that was met.
    reason
        One sentence with the numbers behind the status.
    numbers
        What is predicted and what was measured.
    evidence
        What the status rests on, ready for JSON.
    fit
        The fit, for figures; ``None`` when nothing was fitted.
    x, y
        The observations judged, shapes (m,) and (replicates, m); empty when unusable.
    population
        What the intervals speak about, in words; ``""`` where nothing was judged.
    spread
        Standard deviation of the exponent, or of rho, ``"between instances"`` and ``"between starts"``.
    """

    rate: str
    problem: str
    status: Status
    reason: str
    numbers: Numbers
    evidence: Mapping[str, object] = field(default_factory=dict)
    fit: PowerLawFit | GeometricFit | None = field(default=None, compare=False, repr=False)
    x: NDArray[np.float64] = field(default_factory=lambda: np.empty(0), compare=False, repr=False)
    y: NDArray[np.float64] = field(
        default_factory=lambda: np.empty((0, 0)), compare=False, repr=False
    )
    population: str = ""
    spread: Mapping[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Say on one line what is judged, and how; the evidence would fill a screen."""
        return f"<RateVerdict {self.rate}, {self.problem}: {self.status}; {self.reason}>"

    @property
    def predicted(self) -> Mapping[str, object]:
        """What is predicted, ready for JSON."""
        return self.numbers.predicted()

    @property
    def measured(self) -> Mapping[str, object]:
        """What was measured, ready for JSON; empty when nothing was fitted."""
        return self.numbers.measured()


def basis(rate: Rate, problem: str, numbers: Numbers) -> dict[str, object]:
    """Return what the evidence of every verdict begins with."""
    return {"problem": problem, "rate": rate.name, "predicted": numbers.predicted()}


def require_judged(kind: type, rate: Any, table: Any, problem: object) -> None:
    """Refuse what is no rate of a kind, no table with its columns, or no label of a problem."""
    remedy = f"pass a {kind.__name__}, such as those of a claim's rates"
    require_instance("rate", rate, kind, remedy)
    require_text("problem", problem)
    require_columns(rate, table)


def require_columns(rate: Rate, table: Any) -> None:
    """Refuse a table without the columns that ``rate`` needs."""
    require_table_of_rows("table", table)
    for column in ("problem", "seed", rate.x, rate.y, *rate.where):
        if column not in table.columns:
            raise InvalidArgumentError(
                "table",
                f"no column {column!r}, needed by the rate {rate.name!r}",
                nearest(column, map(str, table.columns)),
            )


def require_table_of_rows(argument: str, table: object) -> None:
    """Refuse what is no table."""
    remedy = "pass a pandas.DataFrame, such as theory_check.runs.load_table returns"
    require_instance(argument, table, pd.DataFrame, remedy)


def require_mapping(argument: str, value: object) -> None:
    """Refuse what has no keys."""
    require_instance(argument, value, Mapping, "pass a mapping, or leave it out")


def rows_of(rate: Rate, table: pd.DataFrame, problem: str) -> pd.DataFrame | str:
    """Return the rows of ``problem`` that a rate is about, or a sentence that says why not.

    A row whose ``status`` is not ``"ok"`` makes all of them unusable: leaving out the seeds that
    diverged would favour the claim.

    Raises
    ------
    InvalidArgumentError
        If a column is missing.
    """
    require_columns(rate, table)
    selected = table["problem"] == problem
    for column, value in rate.where.items():
        selected &= table[column] == value
    rows = table.loc[selected]
    if rows.empty:
        conditions = ", ".join(f"{key} = {value!r}" for key, value in rate.where.items())
        return f"the table has no rows for it{f' with {conditions}' if conditions else ''}"
    if "status" in rows.columns:
        bad = rows.loc[rows["status"] != "ok"]
        if not bad.empty:
            names = ", ".join(sorted({repr(str(name)) for name in bad["status"]}))
            return (
                f"{len(bad)} of {len(rows)} rows have status {names} "
                f"(seeds {_listed(bad['seed'].unique())})"
            )
    return rows


def curves_of(
    rate: Rate, table: pd.DataFrame, problem: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | str:
    """Return x (m,) and y (replicates, m) of a rate, or a sentence that says why not.

    The rows of :func:`rows_of`, one replicate per seed. A missing row or a value that is not finite
    makes the whole rate unusable, like a run that stopped.

    Raises
    ------
    InvalidArgumentError
        If a column is missing, or several rows share seed and x.
    """
    rows = rows_of(rate, table, problem)
    if isinstance(rows, str):
        return rows
    if rows.duplicated(["seed", rate.x]).any():
        raise InvalidArgumentError(
            "table",
            f"several rows of {problem!r} with the same seed and {rate.x}",
            f"select one of them by `where` of the rate {rate.name!r}",
        )
    wide = rows.pivot(index="seed", columns=rate.x, values=rate.y).sort_index(axis=1)
    y = wide.to_numpy(dtype=np.float64)
    finite = np.isfinite(y)
    if not finite.all():
        seeds = _listed(wide.index[~finite.all(axis=1)])
        return (
            f"{int((~finite).sum())} of {y.size} values are missing or not finite (seeds {seeds})"
        )
    if y.shape[0] < 2:
        return "it has one seed, and an interval needs at least 2"
    return wide.columns.to_numpy(dtype=np.float64), y


def _listed(seeds: object) -> str:
    values = sorted(int(seed) for seed in np.asarray(seeds))
    return ", ".join(map(str, values[:5])) + (", ..." if len(values) > 5 else "")
