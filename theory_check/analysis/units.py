"""Exponents in the two conventions of the field: accuracy as a norm, or as its square."""

from __future__ import annotations

from collections.abc import Mapping


def in_both_units(
    numbers: Mapping[str, object], *, norm: float, squared_norm: float
) -> dict[str, dict[str, object]]:
    """Return numbers, nested or not, for ``"norm"`` and for ``"squared norm"``.

    Parameters
    ----------
    numbers
        Exponents and their ends, in the convention in which they were fitted.
    norm, squared_norm
        Factors that take them to each convention.
    """
    return {
        "norm": {name: _scaled(value, norm) for name, value in numbers.items()},
        "squared norm": {name: _scaled(value, squared_norm) for name, value in numbers.items()},
    }


def _scaled(value: object, factor: float) -> object:
    if isinstance(value, Mapping):
        return {name: _scaled(entry, factor) for name, entry in value.items()}
    return value * factor if isinstance(value, float) else value
