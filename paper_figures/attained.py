"""What accuracies cost the tuned penalty method, where the bounds bind and on natural problems."""

from collections.abc import Mapping

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.claims.rates import AttainedRate
from theory_check.plotting import column_figure, draw_attained_rate, legend_below

PANELS = (
    (("attained-hard",), "Plateau and valley"),
    (("attained-3", "attained-2"), "Natural problems"),
)
CLAIMS = tuple(claim for claims, _ in PANELS for claim in claims)


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    figure, panels = column_figure(rows=len(PANELS), row_height=3.2)
    palette = sns.color_palette("colorblind", n_colors=2)
    for axes, (claims, title) in zip(panels, PANELS, strict=True):
        rates = [
            (verdicts[claim], rate) for claim in claims for rate in verdicts[claim].claim.rates
        ]
        for (verdict, rate), colour in zip(rates, palette, strict=True):
            assert isinstance(rate, AttainedRate)
            draw_attained_rate(axes, verdict, rate, colour=colour)
            _draw_closed_form(axes, tables[verdict.claim.experiment], rate)
        found = [rate.status for claim in claims for rate in verdicts[claim].rates]
        counts = ", ".join(f"{found.count(status)} {status}" for status in dict.fromkeys(found))
        axes.set_title(f"{title}: {counts}", loc="left", fontsize=8)
        axes.invert_xaxis()
        legend_below(axes, "method, problem: p of samples ∝ target$^{-p}$; dotted: stated slope")
    return figure


def _draw_closed_form(axes: Axes, table: DataFrame, rate: AttainedRate) -> None:
    """Draw the predicted cost on problems that have one, one dashed line each."""
    rows = table[table["method"] == rate.where["method"]].dropna(subset=["predicted_samples"])
    for index, (_, found) in enumerate(rows.groupby("problem", sort=False)):
        curve = found.groupby("epsilon")["predicted_samples"].first()
        label = "closed form" if index == 0 and rate.exponent == 3 else None
        axes.plot(curve.index, curve, color="0.2", linestyle="--", linewidth=0.8, label=label)
