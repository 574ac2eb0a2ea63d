"""Measured constants of the assumptions on every audited problem, with intervals over seeds."""

from collections.abc import Iterable, Mapping
from textwrap import fill
from typing import get_args

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import AuditFinding, Verdict, audit_problem
from theory_check.analysis.audits import AuditStatus
from theory_check.catalogue import Catalogue
from theory_check.claims.audits import GrowthRule, LevelRule
from theory_check.plotting import STYLE, SeriesStyle, column_figure, legend_below, problem_styles

EXPERIMENTS = ("audits", "audits-discounted", "control-audits")


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    audits = list(Catalogue.shipped().audits.values())
    found = {
        str(problem): {audit.id: audit_problem(audit, rows, str(problem)) for audit in audits}
        for name in EXPERIMENTS
        for problem, rows in tables[name].groupby("problem", sort=False)
    }
    styles = problem_styles(list(found))
    shifts = np.linspace(-0.3, 0.3, len(found))
    growths = [(audit, audit.rule) for audit in audits if isinstance(audit.rule, GrowthRule)]
    figure, (constants, exponents) = column_figure(rows=2, row_height=2.9)
    with plt.rc_context(STYLE):
        for row, audit in enumerate(audits):
            for (problem, findings), shift in zip(found.items(), shifts, strict=True):
                _point(constants, findings[audit.id], 0, row + shift, styles[problem])
            if isinstance(audit.rule, LevelRule):
                _limit(constants, row, audit.rule.level)
        _rows(constants, [f"{audit.symbol}\n{fill(audit.id, 14)}" for audit in audits])
        constants.set(xscale="log", xlabel="measured constant, 95 % interval over seeds")
        constants.set_title(_counts(found.values()), loc="left", fontsize=7.5)
        # Of their own: no row has a point for every problem.
        for problem, style in styles.items():
            constants.plot(
                [], [], linestyle="none", color=style.colour, marker=style.marker, label=problem
            )
        rows: list[str] = []
        for audit, rule in growths:
            names = (
                {1: "exponent", 2: r"of $\mu$ in $\sigma$"} if rule.uniform_in else {1: "exponent"}
            )
            for place, name in names.items():
                for (problem, findings), shift in zip(found.items(), shifts, strict=True):
                    height = len(rows) + shift
                    _point(exponents, findings[audit.id], place, height, styles[problem])
                _limit(exponents, len(rows), rule.resolution + (1 if place == 1 else 0))
                rows.append(f"{audit.id}\n{name}")
        _rows(exponents, rows)
        exponents.set_xlabel("fitted exponent; dotted: the largest allowed")
    legend_below(constants, "hollow: assumption not met; dotted: least allowed", columns=3)
    return figure


def _counts(findings: Iterable[Mapping[str, AuditFinding]]) -> str:
    """Return how many assumptions have each status, problems counted one by one.

    Steps are a claim's, so that curvatures are measured here and judged there.
    """
    found = [finding.status for of_problem in findings for finding in of_problem.values()]
    judged = [status for status in get_args(AuditStatus) if status != "not audited"]
    counts = [f"{found.count(status)} {status}" for status in judged if status in found]
    return f"Audits: {', '.join(counts)}"


def _point(
    axes: Axes,
    finding: AuditFinding,
    place: int,
    height: float,
    style: SeriesStyle,
) -> None:
    """Draw one constant; an audit that does not apply to the problem has none."""
    if place >= len(finding.constants):
        return
    constant = finding.constants[place]
    axes.errorbar(
        constant.value,
        height,
        xerr=[[constant.value - constant.low], [constant.high - constant.value]],
        linestyle="none",
        elinewidth=0.9,
        color=style.colour,
        marker=style.marker,
        markersize=4.2,
        markeredgewidth=0.8,
        markerfacecolor="white" if finding.status == "not met" else style.colour,
    )


def _limit(axes: Axes, row: int, value: float) -> None:
    axes.plot([value, value], [row - 0.42, row + 0.42], color="0.35", linestyle=":", linewidth=1.3)


def _rows(axes: Axes, labels: list[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    for edge in range(1, len(labels)):
        axes.axhline(edge - 0.5, color="0.85", linewidth=0.5)
