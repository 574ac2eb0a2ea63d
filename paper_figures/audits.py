"""Measured constants of the assumptions on every audited problem, each with the level that decides."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import AuditFinding, Verdict, audit_problem
from theory_check.analysis.audits import AuditStatus
from theory_check.catalogue import Catalogue
from theory_check.claims.audits import Audit, DominationRule, GrowthRule, LevelRule, StepRule
from theory_check.plotting import STYLE, edged, general, label_sparsely, page_figure, problem_styles

EXPERIMENTS = ("audits", "audits-discounted", "control-audits")
COLUMNS = 3


@dataclass(frozen=True)
class Panel:
    """One number of an audit: which of its constants, its name, and the level that decides on it."""

    audit: Audit
    place: int
    name: str
    level: float | None = None
    note: str = ""


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    audits = list(Catalogue.shipped().audits.values())
    found = {
        str(problem): {audit.id: audit_problem(audit, rows, str(problem)) for audit in audits}
        for name in EXPERIMENTS
        for problem, rows in tables[name].groupby("problem", sort=False)
    }
    shown = [panel for audit in audits for panel in _panels(audit)]
    figure, panels = page_figure(panels=len(shown), columns=COLUMNS, row_height=1.75)
    with plt.rc_context(STYLE):
        for at, (axes, panel) in enumerate(zip(panels, shown, strict=True)):
            _draw_panel(axes, panel, found, named=at % COLUMNS == 0)
        figure.suptitle(
            f"{_counts(found.values())}; hollow: not met; bars: 95 % intervals over seeds",
            fontsize=7.5,
        )
    return figure


def _panels(audit: Audit) -> list[Panel]:
    rule = audit.rule
    if isinstance(rule, GrowthRule):
        # The constant is positive wherever it is fitted: its exponents decide.
        panels = [
            Panel(audit, 0, audit.symbol, note="its exponent decides"),
            Panel(audit, 1, "exponent", 1 + rule.resolution, "at most"),
        ]
        if rule.uniform_in:
            panels.append(
                Panel(audit, 2, r"exponent of $\mu$ in $\sigma$", rule.resolution, "at most")
            )
        return panels
    if isinstance(rule, LevelRule):
        return [Panel(audit, 0, audit.symbol, rule.level, "at least")]
    if isinstance(rule, StepRule):
        note = f"each claim's step times it: below {general(rule.limit)}"
        return [Panel(audit, 0, audit.symbol, note=note)]
    assert isinstance(rule, DominationRule)
    return [Panel(audit, 0, audit.symbol, note="its floor decides")]


def _draw_panel(
    axes: Axes, panel: Panel, found: Mapping[str, Mapping[str, AuditFinding]], *, named: bool
) -> None:
    """Draw one number on every problem, a line of the panel each."""
    styles = problem_styles(list(found))
    for row, (problem, findings) in enumerate(found.items()):
        finding = findings[panel.audit.id]
        if panel.place >= len(finding.constants):
            continue
        constant, style = finding.constants[panel.place], styles[problem]
        missed = finding.status == "not met"
        look = edged(style.marker, style.colour) if missed else {"marker": style.marker}
        axes.errorbar(
            constant.value,
            row,
            xerr=[[constant.value - constant.low], [constant.high - constant.value]],
            elinewidth=0.9,
            **{"linestyle": "none", "color": style.colour, "markersize": 3.6, **look},
            markerfacecolor="white" if missed else style.colour,
        )
    axes.set_yticks(range(len(found)), list(found) if named else [], fontsize=6.5)
    axes.set_ylim(len(found) - 0.5, -0.5)
    if panel.place == 0:
        axes.set_xscale("log")
        label_sparsely(axes.xaxis)
    label = panel.name
    if panel.level is not None:
        axes.axvline(panel.level, color="0.35", linestyle=":", linewidth=1.3)
        label += f"; dotted: {panel.note} {general(panel.level)}"
    elif panel.note:
        label += f"; {panel.note}"
    axes.set_xlabel(label, fontsize=6.5)
    axes.set_title(panel.audit.id, loc="left", fontsize=7.5)


def _counts(findings: Iterable[Mapping[str, AuditFinding]]) -> str:
    """Return how many assumptions have each status, problems counted one by one.

    Steps are a claim's, so that curvatures are measured here and judged there.
    """
    found = [finding.status for of_problem in findings for finding in of_problem.values()]
    judged = [status for status in get_args(AuditStatus) if status != "not audited"]
    counts = [f"{found.count(status)} {status}" for status in judged if status in found]
    return f"Audits: {', '.join(counts)}"
