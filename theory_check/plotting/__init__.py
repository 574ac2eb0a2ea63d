"""Drawing a verdict on an ``Axes``: data with intervals, the line of the theory, what was found."""

from theory_check.plotting.clouds import draw_cloud
from theory_check.plotting.computed import draw_curve_rate, draw_ratio_rate
from theory_check.plotting.geometric import draw_departures, geometric_summary
from theory_check.plotting.numbers import fixed, general, interval, label_sparsely, power_of_ten
from theory_check.plotting.power import (
    draw_attained_rate,
    draw_power_rate,
    draw_schedule_rate,
)
from theory_check.plotting.style import (
    COLUMN_WIDTH,
    NOTE,
    PAGE_WIDTH,
    STYLE,
    LineStyle,
    SeriesStyle,
    column_figure,
    draw_level,
    edged,
    entitle,
    legend_below,
    line_styles,
    page_figure,
    problem_styles,
    set_apart,
    shared_legend,
    verdict_lines,
    wrapped,
)
from theory_check.plotting.summaries import (
    attained_summary,
    looseness_summary,
    power_summary,
    schedule_name,
    schedule_summary,
)

__all__ = [
    "COLUMN_WIDTH",
    "NOTE",
    "PAGE_WIDTH",
    "STYLE",
    "LineStyle",
    "SeriesStyle",
    "attained_summary",
    "column_figure",
    "draw_attained_rate",
    "draw_cloud",
    "draw_curve_rate",
    "draw_departures",
    "draw_level",
    "draw_power_rate",
    "draw_ratio_rate",
    "draw_schedule_rate",
    "edged",
    "entitle",
    "fixed",
    "general",
    "geometric_summary",
    "interval",
    "label_sparsely",
    "legend_below",
    "line_styles",
    "looseness_summary",
    "page_figure",
    "power_of_ten",
    "power_summary",
    "problem_styles",
    "schedule_name",
    "schedule_summary",
    "set_apart",
    "shared_legend",
    "verdict_lines",
    "wrapped",
]
