"""Errors that name the argument, the value received, and the remedy."""

from __future__ import annotations

import difflib
import numbers
import operator
from collections.abc import Iterable, Sequence
from typing import TypeGuard

INTEGER_LIMIT = 2**62
"""Integers from here on are refused: sums of two of them would leave 64 bits."""


class TheoryCheckError(Exception):
    """Base class of every error this package raises on purpose."""


class InvalidArgumentError(TheoryCheckError, ValueError):
    """An argument was refused before any work was done.

    Parameters
    ----------
    argument
        Name of the argument as the caller wrote it.
    received
        What was received, already shortened to something readable.
    remedy
        What to pass instead.
    """

    def __init__(self, argument: str, received: object, remedy: str) -> None:
        self.argument = argument
        self.received = received
        self.remedy = remedy
        super().__init__(f"{argument}: received {received}; {remedy}")

    def __reduce__(self) -> tuple[type, tuple[str, object, str]]:
        """Rebuild from the three parts, so that the error survives a process boundary."""
        return type(self), (self.argument, self.received, self.remedy)


class EnumerationBudgetError(InvalidArgumentError):
    """The problem has more trajectories than the exact oracle may enumerate."""


class UndeclaredTruthError(TheoryCheckError):
    """A problem was asked for an optimum or constant that it does not declare."""


class CertificationError(TheoryCheckError):
    """An exact quantity could not be computed to its stated accuracy."""


class SampleBudgetExhausted(TheoryCheckError):  # noqa: N818 - a named outcome, not a fault
    """The sampled oracle was asked for more samples than its budget allows."""


class DuplicateNameError(TheoryCheckError):
    """Two components claim the same name."""


class StoreError(TheoryCheckError):
    """The result store cannot be read or written."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a remedy that points at the known name nearest to ``name``."""
    choices = sorted(known)
    return f"{suggestion(name, choices)}known: {', '.join(choices)}"


def suggestion(name: str, choices: Iterable[str]) -> str:
    """Return the question whether the nearest of ``choices`` was meant, ``""`` where none is near."""
    close = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.4)
    return f"did you mean {close[0]!r}? " if close else ""


def shortened(value: object, limit: int = 100) -> str:
    """Return how a value is written, its middle left out where that is long."""
    text = repr(value)
    if len(text) <= limit:
        return text
    half = (limit - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


def is_number(value: object) -> TypeGuard[float]:
    """Return whether ``value`` is a real number, of Python or numpy; a truth value is none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def require_positive(argument: str, value: object) -> None:
    """Refuse anything that is not a finite and strictly positive number."""
    if not is_number(value) or not 0 < value < float("inf"):
        raise InvalidArgumentError(argument, repr(value), "pass a finite number greater than 0")


def require_positive_integer(argument: str, value: object) -> None:
    """Refuse anything that is not an integer, of Python or numpy, in ``1 .. 2**62 - 1``."""
    if not _is_integer(value) or not 1 <= value < INTEGER_LIMIT:
        raise InvalidArgumentError(
            argument, repr(value), "pass an integer of at least 1 and below 2**62"
        )


def require_seed(argument: str, value: object) -> None:
    """Refuse anything that is not a non-negative integer, of Python or numpy."""
    if not _is_integer(value) or value < 0:
        raise InvalidArgumentError(argument, repr(value), "pass an integer of at least 0")


def require_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    """Return the seeds as Python integers; nothing is rounded to one, and no text is split."""
    remedy = "pass distinct non-negative integers, at least one"
    if isinstance(seeds, str | bytes) or not isinstance(seeds, Iterable):
        raise InvalidArgumentError("seeds", repr(seeds), remedy)
    given = list(seeds)
    try:
        distinct = tuple(operator.index(seed) for seed in given)
    except TypeError as error:
        raise InvalidArgumentError("seeds", given, remedy) from error
    repeated = len(set(distinct)) != len(distinct)
    if not distinct or repeated or min(distinct) < 0 or any(isinstance(s, bool) for s in given):
        raise InvalidArgumentError("seeds", given, remedy)
    return distinct


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def require_choice(argument: str, value: str, choices: Iterable[str]) -> None:
    """Refuse a name that is not among ``choices``, and point at the nearest one."""
    known = tuple(choices)
    if value not in known:
        raise InvalidArgumentError(argument, repr(value), nearest(str(value), known))
