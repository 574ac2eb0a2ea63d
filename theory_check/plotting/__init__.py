"""Drawing a verdict on an ``Axes``: data with intervals, the line of the theory, what was found."""

from theory_check.plotting.computed import draw_curve_rate, draw_ratio_rate
from theory_check.plotting.numbers import fixed, general, interval, label_sparsely, power_of_ten
from theory_check.plotting.power import (
    draw_attained_rate,
    draw_power_rate,
    draw_schedule_rate,
    exponent_text,
)
from theory_check.plotting.style import (
    COLUMN_WIDTH,
    PAGE_WIDTH,
    STYLE,
    LineStyle,
    SeriesStyle,
    column_figure,
    draw_level,
    entitle,
    legend_below,
    line_styles,
    page_figure,
    problem_styles,
    shared_legend,
    verdict_lines,
)

__all__ = [
    "COLUMN_WIDTH",
    "PAGE_WIDTH",
    "STYLE",
    "LineStyle",
    "SeriesStyle",
    "column_figure",
    "draw_attained_rate",
    "draw_curve_rate",
    "draw_level",
    "draw_power_rate",
    "draw_ratio_rate",
    "draw_schedule_rate",
    "entitle",
    "exponent_text",
    "fixed",
    "general",
    "interval",
    "label_sparsely",
    "legend_below",
    "line_styles",
    "page_figure",
    "power_of_ten",
    "problem_styles",
    "shared_legend",
    "verdict_lines",
]
