"""Measured constants of the assumptions on every audited problem, with intervals over seeds."""

from collections.abc import Mapping
from textwrap import fill

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import AuditFinding, Verdict, audit_problem
from theory_check.claims.audits import all_audits
from theory_check.claims.audits.base import GrowthRule, LevelRule
from theory_check.plotting import STYLE, SeriesStyle, column_figure, problem_styles

EXPERIMENTS = ("audits", "control-audits")


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    audits = list(all_audits().values())
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
                label = problem if row == 0 else None
                _point(constants, findings[audit.id], 0, row + shift, styles[problem], label)
            if isinstance(audit.rule, LevelRule):
                _limit(constants, row, audit.rule.level)
        _rows(constants, [f"{audit.symbol}\n{fill(audit.id, 14)}" for audit in audits])
        constants.set(xscale="log", xlabel="measured constant, 95 % interval over seeds")
        rows: list[str] = []
        for audit, rule in growths:
            names = (
                {1: "exponent", 2: r"of $\mu$ in $\sigma$"} if rule.uniform_in else {1: "exponent"}
            )
            for place, name in names.items():
                for (problem, findings), shift in zip(found.items(), shifts, strict=True):
                    height = len(rows) + shift
                    _point(exponents, findings[audit.id], place, height, styles[problem], None)
                _limit(exponents, len(rows), rule.resolution + (1 if place == 1 else 0))
                rows.append(f"{audit.id}\n{name}")
        _rows(exponents, rows)
        exponents.set_xlabel("fitted exponent; dotted: the largest allowed")
        constants.legend(
            loc="upper center",
            bbox_to_anchor=(0.4, -0.17),
            ncols=3,
            title="hollow: an assumption that is not met",
            title_fontsize=6.5,
        )
    return figure


def _point(
    axes: Axes,
    finding: AuditFinding,
    place: int,
    height: float,
    style: SeriesStyle,
    label: str | None,
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
        label=label,
    )


def _limit(axes: Axes, row: int, value: float) -> None:
    axes.plot([value, value], [row - 0.42, row + 0.42], color="0.35", linestyle=":", linewidth=1.3)


def _rows(axes: Axes, labels: list[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    for edge in range(1, len(labels)):
        axes.axhline(edge - 0.5, color="0.85", linewidth=0.5)
