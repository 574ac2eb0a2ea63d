"""The text of an experiment file, before anything in it is looked at."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from theory_check.errors import InvalidArgumentError, shortened
from theory_check.files import read_file

Table = dict[str, object]


def parsed(path: Path) -> Table:
    """Return what a TOML file says.

    Raises
    ------
    InvalidArgumentError
        For a file that cannot be read or is no TOML.
    """
    try:
        return tomllib.loads(read_file(path).decode("utf-8"))
    except OSError as error:
        raise InvalidArgumentError(
            "experiment file", error.strerror or "no file", "pass the path of a readable TOML file"
        ) from error
    except ValueError as error:  # no TOML, no UTF-8, or an integer of thousands of digits
        raise InvalidArgumentError(
            "experiment file", "text that is not TOML", f"correct it: {shortened(str(error), 200)}"
        ) from error


def with_axes(content: Table, axes: Mapping[str, list[object]]) -> Table:
    """Return the file with further axes of its grid, refused where it sets them itself."""
    grid = content.get("grid", {})
    if not axes or not isinstance(grid, dict):
        return content
    quick = content.get("quick", {})
    quick_grid = quick.get("grid", {}) if isinstance(quick, dict) else {}
    for where, table in (("grid", grid), ("quick.grid", quick_grid)):
        for axis in axes:
            if isinstance(table, dict) and axis in table:
                raise InvalidArgumentError(
                    f"{where}.{axis}",
                    shortened(table[axis]),
                    "leave it out: it is chosen by the caller",
                )
    return {**content, "grid": {**grid, **axes}}
