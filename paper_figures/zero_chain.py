"""Samples over the lower bound T/p against the accuracy, on the instance of each accuracy."""

from collections.abc import Mapping

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from pandas import DataFrame

from theory_check.analysis import Verdict
from theory_check.plotting import (
    NOTE,
    STYLE,
    column_figure,
    entitle,
    label_sparsely,
    legend_below,
    problem_styles,
)

CLAIMS = ("zero-chain-lower-bound", "control-zero-chain")
TITLES = {
    "reference": "SGD on the hyperobjective",
    "penalty": "penalty, independent",
    "penalty-shared": "penalty, shared batch",
    "f2sa": "F2SA",
    "f3sa": "F2SA with momentum",
    "parl": "PARL",
    "aho": "control: exact response (AHO)",
    "reference-reused": "control: one batch for all steps",
}


def draw(verdicts: Mapping[str, Verdict], tables: Mapping[str, DataFrame]) -> Figure:
    bound, control = (verdicts[claim] for claim in CLAIMS)
    table = tables[bound.claim.experiment]
    figure, panels = column_figure(rows=1, row_height=2.8)
    axes = panels[0]
    present = [name for name in TITLES if name in set(table["method"])]
    styles = problem_styles(present)
    with plt.rc_context(STYLE):
        for name in present:
            rows = table.loc[table["method"] == name]
            style = styles[name]
            # An accuracy that the median seed did not reach has no point.
            ratios = rows.groupby("epsilon")["first_ratio"].agg(["median", "min", "max"])
            ratios = ratios[ratios["median"] < float("inf")]
            if ratios.empty:
                continue
            reach = [ratios["median"] - ratios["min"], ratios["max"] - ratios["median"]]
            axes.errorbar(
                ratios.index,
                ratios["median"],
                yerr=[side.where(side < float("inf"), float("nan")) for side in reach],
                color=style.colour,
                marker=style.marker,
                markersize=3,
                elinewidth=0.6,
                capsize=1.0,
                linestyle=":" if TITLES[name].startswith("control") else "-",
                linewidth=1.0,
                label=TITLES[name],
            )
        axes.set(xscale="log", yscale="log")
        for axis in (axes.xaxis, axes.yaxis):
            label_sparsely(axis)
        entitle(axes, bound, control)
        axes.axhline(1.0, color="0.2", linestyle="--", linewidth=1.4)
        axes.annotate(
            r"theory: above $T/p \sim \epsilon^{-3}$",
            (0.02, 1.0),
            xycoords=("axes fraction", "data"),
            xytext=(0, -9),
            textcoords="offset points",
            **NOTE,
        )
        axes.set(
            xlabel=r"$\epsilon$, an instance for each", ylabel=r"samples to $\epsilon$ / $(T/p)$"
        )
        legend_below(
            axes,
            "medians and ranges of seeds; in expectation no method may be below",
            columns=2,
        )
    return figure
