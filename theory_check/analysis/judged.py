"""What a judge may be given: a rate of its own kind, and a table with the columns it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from theory_check.claims.rates import Rate
from theory_check.errors import InvalidArgumentError, nearest, require_instance, require_text


def require_judged(kind: type, rate: Any, table: Any, problem: object) -> None:
    """Refuse what is no rate of a kind, no table with its columns, or no label of a problem."""
    remedy = f"pass a {kind.__name__}, such as those of a claim's rates"
    require_instance("rate", rate, kind, remedy)
    require_text("problem", problem)
    require_columns(rate, table)


def require_columns(rate: Rate, table: Any) -> None:
    """Refuse a table without the columns that ``rate`` needs."""
    require_table_of_rows("table", table)
    for column in ("problem", "seed", rate.x, rate.y, *rate.where):
        if column not in table.columns:
            raise InvalidArgumentError(
                "table",
                f"no column {column!r}, needed by the rate {rate.name!r}",
                nearest(column, map(str, table.columns)),
            )


def require_table_of_rows(argument: str, table: object) -> None:
    """Refuse what is no table."""
    remedy = "pass a pandas.DataFrame, such as theory_check.runs.load_table returns"
    require_instance(argument, table, pd.DataFrame, remedy)


def require_mapping(argument: str, value: object) -> None:
    """Refuse what has no keys."""
    require_instance(argument, value, Mapping, "pass a mapping, or leave it out")
