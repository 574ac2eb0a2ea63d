"""A recorded run on an ``Axes`` of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from theory_check.errors import require_choice

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def draw_trace(table: pd.DataFrame, y: str, x: str, axes: Axes | None, title: str = "") -> Axes:
    """Draw a column of a trace against another, a line for each seed, and their median.

    Parameters
    ----------
    table
        Of a trace.
    y, x
        Columns of numbers.
    axes
        Where to draw; that of a new figure when absent.
    title
        Of the axes.

    Raises
    ------
    InvalidArgumentError
        For a column that the table has not.
    """
    numbers = [str(name) for name in table.select_dtypes("number").columns if name != "seed"]
    for argument, column in (("y", y), ("x", x)):
        require_choice(argument, column, numbers)
    if axes is None:
        from matplotlib import pyplot

        axes = pyplot.subplots(layout="constrained")[1]
    for at, (_, run) in enumerate(table.groupby("seed")):
        axes.plot(
            run[x], run[y], color="#0b7dbd", alpha=0.4, linewidth=0.8, label="seeds" * (at == 0)
        )
    # At the iterations that every seed has: one that stopped early would leave an easier median.
    counts = table.groupby("iteration")["seed"].nunique()
    common = table[table["iteration"].isin(counts.index[counts == table["seed"].nunique()])]
    middle = common.groupby("iteration")[[x, y] if x != y else [x]].median()
    across = middle.index if x == "iteration" else middle[x]
    axes.plot(across, middle[y], color="#d55e00", linewidth=1.8, label="median")
    for axis, column in (("x", x), ("y", y)):
        values = table[column].to_numpy(dtype=np.float64)
        finite = values[np.isfinite(values)]
        if finite.size and (finite > 0).all():
            axes.set(**{f"{axis}scale": "log"})
    axes.set(xlabel=x, ylabel=y, title=title)
    axes.legend(fontsize="small")
    return axes
