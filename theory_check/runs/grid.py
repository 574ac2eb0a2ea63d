"""The axes of an experiment file's grid: tables of settings, flattened, merged and varied."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from theory_check.errors import InvalidArgumentError, nearest, shortened
from theory_check.runs.build import Table


def require_axes_once(table: Table, where: str) -> None:
    """Refuse an axis that is written twice, dotted and as a table, or that a later one replaces."""
    seen: list[str] = []
    for key, value in table.items():
        for axis in flattened({key: value}):
            for other in seen:
                if axis == other or other.startswith(f"{axis}."):
                    raise InvalidArgumentError(
                        f"{where}.{axis}",
                        "a value that is written twice, dotted and as a table"
                        if axis == other
                        else f"values that would replace those of {where}.{other}",
                        "set it in one of the two places",
                    )
            seen.append(axis)


def require_axis(
    axis: str, values: object, where: str, settings: Table, parameters: Mapping[str, object]
) -> None:
    """Refuse an axis that is no setting, is set elsewhere too, or whose values cannot be told apart."""
    if axis.split(".")[0] not in parameters:
        raise InvalidArgumentError(where, "an unknown key", nearest(axis, parameters))
    if not isinstance(values, list) or not values:
        raise InvalidArgumentError(where, shortened(values), "pass a list of at least one value")
    repeated = [value for position, value in enumerate(values) if value in values[:position]]
    if repeated:
        raise InvalidArgumentError(where, f"{repeated[0]!r} twice", "list every value once")
    labels = axis_labels(values)
    shared = [label for position, label in enumerate(labels) if label in labels[:position]]
    if shared:
        raise InvalidArgumentError(
            where, f"two components named {shared[0]!r}", "vary a setting, as in [grid.solver]"
        )
    if axis in flattened(settings) or axis in settings:
        raise InvalidArgumentError(
            where, f"a value that is also in settings.{axis}", "set it in one of the two places"
        )


def axis_labels(values: list[object]) -> list[Any]:
    """Return what stands in the column of a grid axis: a component is known by its name."""
    labels: list[Any] = []
    for value in values:
        if isinstance(value, dict) and isinstance(value.get("name"), str):
            labels.append(value["name"])
        elif isinstance(value, dict | list):
            labels.append(json.dumps(value, sort_keys=True))
        else:
            labels.append(value)
    return labels


def flattened(table: Mapping[str, object], prefix: str = "") -> dict[str, Any]:
    """Return ``table`` without nesting: ``{"solver": {"sigma": x}}`` -> ``{"solver.sigma": x}``."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def merged(base: Mapping[str, object], changes: Mapping[str, object]) -> Table:
    """Return ``base`` with ``changes``; a table is merged unless it names another component."""
    found = dict(base)
    for key, value in changes.items():
        old = found.get(key)
        if (
            isinstance(old, dict)
            and isinstance(value, dict)
            and value.get("name", old.get("name")) == old.get("name")
        ):
            found[key] = merged(old, value)
        else:
            found[key] = value
    return found


def with_entry(table: Mapping[str, object], keys: list[str], value: object) -> Table:
    """Return ``table`` with the entry at the nested ``keys`` set to ``value``."""
    head, *rest = keys
    inner = table.get(head)
    entry = with_entry(inner if isinstance(inner, dict) else {}, rest, value) if rest else value
    return {**table, head: entry}
