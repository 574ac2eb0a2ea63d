"""Controls: penalty bias of the quadratic and the quartic lower level, and the missing response."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.plotting import column_figure, draw_power_rate, legend_below

CLAIMS = ("control-quadratic", "control-quartic", "control-missing-response")


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    figure, (bias, response) = column_figure(rows=2, row_height=2.5)
    for claim, hollow in (("control-quadratic", False), ("control-quartic", True)):
        verdict = verdicts[claim]
        draw_power_rate(bias, verdict, verdict.claim.rates[0], hollow=hollow)
    legend_below(bias, "fitted exponent (squared norm); the quartic must fail")
    missing = verdicts["control-missing-response"]
    draw_power_rate(response, missing, missing.claim.rates[0])
    legend_below(response, "exponent above the floor; a floor must be found")
    return figure
