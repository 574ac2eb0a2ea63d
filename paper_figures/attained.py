"""What accuracies cost the tuned penalty method, where the bounds bind and on natural problems."""

from collections.abc import Mapping

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.claims.rates import AttainedRate
from theory_check.plotting import (
    attained_summary,
    draw_attained_rate,
    entitle,
    legend_below,
    page_figure,
)

PANELS = (
    (("attained-hard",), "Plateau and valley"),
    (("attained-3", "attained-2"), "Natural problems"),
    (("attained-sequences",), "Texts, transformers"),
)
CLAIMS = tuple(claim for claims, _ in PANELS for claim in claims)


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    figure, panels = page_figure(panels=len(PANELS), columns=2, row_height=2.9)
    palette = sns.color_palette("colorblind", n_colors=3)
    for axes, (claims, title) in zip(panels, PANELS, strict=True):
        rates = [
            (verdicts[claim], rate) for claim in claims for rate in verdicts[claim].claim.rates
        ]
        problems = list(dict.fromkeys(each.problem for one, _ in rates for each in one.rates))
        for (verdict, rate), colour in zip(rates, palette[: len(rates)], strict=True):
            assert isinstance(rate, AttainedRate)
            draw_attained_rate(axes, verdict, rate, colour=colour, problems=problems)
            _draw_closed_form(axes, tables[verdict.claim.experiment], rate)
        shown = [verdicts[claim] for claim in claims]
        entitle(axes, *shown, subject=title, width=48)
        axes.invert_xaxis()
        legend_below(axes, attained_summary(shown))
    return figure


def _draw_closed_form(axes: Axes, table: DataFrame, rate: AttainedRate) -> None:
    """Draw the predicted cost on problems that have one, one dashed line each."""
    rows = table[table["method"] == rate.where["method"]].dropna(subset=["predicted_samples"])
    for index, (_, found) in enumerate(rows.groupby("problem", sort=False)):
        curve = found.groupby("epsilon")["predicted_samples"].first()
        label = "closed form" if index == 0 and rate.exponent == 3 else None
        axes.plot(curve.index, curve, color="0.2", linestyle="--", linewidth=0.8, label=label)
