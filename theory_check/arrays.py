"""Numbers that somebody passes: lists, numpy arrays, torch tensors; everything else is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory_check.errors import InvalidArgumentError, is_number, one_line

REMEDY = "pass a rectangular array of real numbers"


def as_numbers(
    argument: str, values: Any, remedy: str = REMEDY, *, truth_values: bool = True
) -> NDArray[Any]:
    """Return a new array of integers or floats with the type it had; truth values become integers.

    Parameters
    ----------
    argument
        What the caller called it.
    values
        A number, a nested sequence, an array, or a tensor on any device, with a gradient or without.
    remedy
        What to pass instead.
    truth_values
        Whether truth values are numbers, as they are for indicators of an event.

    Raises
    ------
    InvalidArgumentError
        For text, dates, complex numbers, ``None`` and other objects, integers beyond the range of
        floats, ragged sequences, arrays of which something is masked, and tensors that hold no
        numbers of their own (sparse, meta); for truth values, also among numbers, where they are none.
    """

    def refusal(reason: str) -> InvalidArgumentError:
        return InvalidArgumentError(argument, f"{type(values).__name__} ({reason})", remedy)

    try:
        if np.ma.is_masked(values):
            raise ValueError("with masked entries")
        plain = _plain(values, truth_values)
        given = np.array(plain)
    except Exception as error:  # of whatever converts itself to an array
        raise refusal(one_line(error) or type(error).__name__) from error
    if given.dtype.kind == "O":
        if not all(is_number(value) for value in given.flat):
            odd = next(value for value in given.flat if not is_number(value))
            kind = "an integer beyond floats" if isinstance(odd, int) else type(odd).__name__
            raise refusal(f"with an entry of type {kind}")
        given = given.astype(np.float64)
    if given.dtype.kind == "b":
        given = given.astype(np.int64)
    if given.dtype.kind not in "iuf":
        raise refusal(f"of type {given.dtype}")
    return given


def as_floats(argument: str, values: Any, remedy: str = REMEDY) -> NDArray[np.float64]:
    """Return a new array of float64 numbers; arguments and refusals are those of :func:`as_numbers`."""
    return as_numbers(argument, values, remedy).astype(np.float64, copy=False)


def _plain(values: Any, truth_values: bool) -> Any:
    """Return tensors, also within sequences, as arrays without a gradient."""
    if isinstance(values, list | tuple):
        return [_plain(value, truth_values) for value in values]
    if np.ma.is_masked(values):
        raise ValueError("masked entries")
    if hasattr(values, "detach"):
        if values.is_meta:
            raise ValueError("a meta tensor has no values")
        values = values.detach().cpu().numpy()
    if not truth_values and _is_truth(values):
        raise ValueError("with truth values")
    return values


def _is_truth(values: Any) -> bool:
    dtype = getattr(values, "dtype", None)
    return isinstance(values, bool) or getattr(dtype, "kind", None) == "b"
