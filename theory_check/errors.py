"""Errors that name the argument, the value received, and the remedy."""

from __future__ import annotations

import difflib
import itertools
import numbers
import operator
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, TypeGuard

INTEGER_LIMIT = 2**62
"""Integers from here on are refused: sums of two of them would leave 64 bits."""

SEED_LIMIT = 2**128
"""Seeds from here on are refused: generators are seeded with so many bits."""

MOST_SEEDS = 10**6
"""Replicates of one call; each has streams and tables of its own."""

LARGEST_TABLE = 2**25
"""Numbers in a table, or in all tables of a problem: 256 MiB in float64."""

LARGEST_SCALE = 1e100
"""Largest size of a reward or feature, and of a scale and its reciprocal: squares stay floats."""

# A message names what was received and does not repeat a file; a remedy may list all that is known.
LONGEST_ARGUMENT, LONGEST_RECEIVED, LONGEST_REMEDY = 200, 500, 4000


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
        self.argument = _cut(argument, LONGEST_ARGUMENT)
        text = received if isinstance(received, str) else shortened(received, LONGEST_RECEIVED)
        self.received = _cut(text, LONGEST_RECEIVED)
        self.remedy = _cut(remedy, LONGEST_REMEDY)
        super().__init__(f"{self.argument}: received {self.received}; {self.remedy}")

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


def one_line(error: BaseException | str) -> str:
    """Return the text of an error that came from elsewhere, at most 200 letters on one line."""
    return " ".join(str(error).split())[:200]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a remedy that points at the known name nearest to ``name``."""
    choices = sorted(known)
    return f"{suggestion(name, choices)}known: {', '.join(choices)}"


def suggestion(name: str, choices: Iterable[str]) -> str:
    """Return the question whether the nearest of ``choices`` was meant, ``""`` where none is near."""
    # The search takes quadratic time, and nothing so long was a slip of a known name.
    if len(name) > LONGEST_ARGUMENT:
        return ""
    close = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.4)
    return f"did you mean {close[0]!r}? " if close else ""


def shortened(value: object, limit: int = 100) -> str:
    """Return how a value is written, on one line, its middle left out where that is long.

    It never fails: what cannot be written is named by its type.
    """
    try:
        if isinstance(value, str | bytes | list | tuple) and len(value) > 2 * limit:
            # Only what is shown is written: the whole may be far larger than memory.
            text = f"{repr(value[:limit])[:limit]} ... {repr(value[-limit:])[-limit:]}"
        else:
            text = repr(value)
    except Exception:  # of whoever wrote the class, or an integer of too many digits to be written
        written = f"of {value.bit_length()} bits" if isinstance(value, int) else "that has no repr"
        text = f"a value of type {type(value).__name__}, {written}"
    return _cut(" ".join(text.split()) if "\n" in text else text, limit)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = (limit - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


def visible(text: str, *, kept: str = "") -> str:
    """Return text in which characters that steer a terminal are written as escapes.

    What is printed may come from a file, a record of the store or somebody's exception: an escape
    sequence in it must not reach the terminal, and a line break must not forge a line.

    Parameters
    ----------
    text
        Anything.
    kept
        Characters that stay, such as the line breaks of a text of several lines.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character in kept or not _steers(character) else _escape(character)
        for character in text
    )


def _steers(character: str) -> bool:
    # Control, format (such as the direction of writing), surrogate, line and paragraph separator.
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def is_number(value: object) -> TypeGuard[float]:
    """Return whether ``value`` is a real number, of Python or numpy, within the range of floats.

    A truth value is none, and neither is a duration, which numpy takes for an integer.
    """
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        float(value)
    except (OverflowError, TypeError, ValueError):
        return False
    return True


def is_setting(value: object) -> TypeGuard[float]:
    """Return whether ``value`` is a number that tensors can be multiplied by.

    None is a fraction, nor an integer beyond 62 bits; floats of that size are.
    """
    if is_integer(value):
        return -INTEGER_LIMIT < value < INTEGER_LIMIT
    return is_number(value) and not isinstance(value, numbers.Rational)


def require_positive(argument: str, value: object) -> None:
    """Refuse anything that is not a finite and strictly positive number."""
    if not is_setting(value) or not 0 < value < float("inf"):
        raise InvalidArgumentError(
            argument, shortened(value), "pass a finite number greater than 0"
        )


def require_scale(argument: str, value: object) -> None:
    """Refuse a scale whose square, or whose reciprocal's, would not be a float."""
    if not is_setting(value) or not 1 / LARGEST_SCALE <= value <= LARGEST_SCALE:
        raise InvalidArgumentError(
            argument,
            shortened(value),
            f"pass a finite number greater than 0, from {1 / LARGEST_SCALE:g} to {LARGEST_SCALE:g}",
        )


def require_finite(argument: str, value: object) -> None:
    """Refuse anything that is not a number of a size that can be squared."""
    if not is_setting(value) or not -LARGEST_SCALE <= value <= LARGEST_SCALE:
        raise InvalidArgumentError(
            argument, shortened(value), f"pass a finite number of at most {LARGEST_SCALE:g} in size"
        )


def require_non_negative(argument: str, value: object) -> None:
    """Refuse anything that is not a number of at least 0, of a size that can be squared."""
    if not is_setting(value) or not 0 <= value <= LARGEST_SCALE:
        raise InvalidArgumentError(
            argument,
            shortened(value),
            f"pass a finite number of at least 0 and at most {LARGEST_SCALE:g}",
        )


def require_target(argument: str, value: object) -> None:
    """Refuse what is no accuracy, a squared norm below 1 that is a float to all powers of schedules."""
    if not is_setting(value) or not 1 / LARGEST_SCALE <= value < 1:
        raise InvalidArgumentError(
            argument, shortened(value), "pass a target for the squared norm between 0 and 1"
        )


def require_share(argument: str, value: object) -> None:
    """Refuse anything that is not a number of at least 0 and below 1."""
    if not is_setting(value) or not 0 <= value < 1:
        raise InvalidArgumentError(
            argument, shortened(value), "pass a share of at least 0 and below 1"
        )


def require_fraction(argument: str, value: object) -> None:
    """Refuse anything that is not a number above 0 and below 1."""
    if not is_setting(value) or not 0 < value < 1:
        raise InvalidArgumentError(argument, shortened(value), "pass an accuracy between 0 and 1")


def require_positive_share(argument: str, value: Any) -> None:
    """Refuse anything that is not a number above 0 and at most 1."""
    require_positive(argument, value)
    if value > 1:
        raise InvalidArgumentError(argument, shortened(value), "pass a share of at most 1")


def require_positive_integer(argument: str, value: object) -> None:
    """Refuse anything that is not an integer, of Python or numpy, in ``1 .. 2**62 - 1``."""
    if not is_integer(value) or not 1 <= value < INTEGER_LIMIT:
        raise InvalidArgumentError(
            argument, shortened(value), "pass an integer of at least 1 and below 2**62"
        )


def require_seed(argument: str, value: object) -> None:
    """Refuse anything that is not an integer, of Python or numpy, in ``0 .. 2**128 - 1``."""
    if not is_integer(value) or not 0 <= value < SEED_LIMIT:
        raise InvalidArgumentError(
            argument, shortened(value), "pass an integer of at least 0 and below 2**128"
        )


def require_seeds(seeds: object) -> tuple[int, ...]:
    """Return the seeds as Python integers; nothing is rounded to one, and no text is split."""
    remedy = f"pass distinct integers from 0 to 2**128 - 1, at least one, at most {MOST_SEEDS}"
    given = listed("seeds", seeds, remedy)
    try:
        distinct = tuple(operator.index(seed) for seed in given)
    except Exception as error:  # of what is no integer, or has no value
        raise InvalidArgumentError("seeds", shortened(given), remedy) from error
    repeated = len(set(distinct)) != len(distinct)
    if (
        any(isinstance(seed, bool) for seed in given)
        or repeated
        or not distinct
        or min(distinct) < 0
        or max(distinct) >= SEED_LIMIT
    ):
        raise InvalidArgumentError("seeds", shortened(given), remedy)
    return distinct


def is_integer(value: object) -> TypeGuard[int]:
    """Return whether ``value`` is an integer, of Python or numpy; truth values and durations are none."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        return False
    try:
        operator.index(value)
    except TypeError:  # a duration of numpy
        return False
    return True


def require_choice(argument: str, value: object, choices: Iterable[str]) -> None:
    """Refuse a name that is not among ``choices``, and point at the nearest one."""
    known = tuple(choices)
    if not isinstance(value, str) or value not in known:
        name = value if isinstance(value, str) else ""
        raise InvalidArgumentError(argument, shortened(value), nearest(name, known))


def require_text(argument: str, value: object) -> None:
    """Refuse what is no text, or none that a file can hold."""
    if not isinstance(value, str) or not _is_unicode(value):
        raise InvalidArgumentError(argument, shortened(value), "pass text")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def require_flag(argument: str, value: object) -> None:
    """Refuse anything that is not a truth value: text such as ``"False"`` would count as true."""
    # numpy's own is recognised by name, since nothing numerical is imported here.
    if not isinstance(value, bool) and type(value).__name__ not in ("bool_", "bool"):
        raise InvalidArgumentError(argument, shortened(value), "pass True or False")


def require_callable(argument: str, value: object) -> None:
    """Refuse what cannot be called."""
    if not callable(value) or isinstance(value, type):
        raise InvalidArgumentError(argument, shortened(value), "pass a function")


def require_instance(argument: str, value: object, kinds: Any, remedy: str) -> None:
    """Refuse anything but an object of a class, or of one of several: the class itself is none."""
    if isinstance(value, type) or not isinstance(value, kinds):
        raise InvalidArgumentError(argument, shortened(value), remedy)


def listed(argument: str, values: Any, remedy: str, most: int = MOST_SEEDS) -> list[Any]:
    """Return what can be read from an iterable that is no text, at most ``most`` members."""
    refusal = InvalidArgumentError(argument, shortened(values), remedy)
    if isinstance(values, str | bytes | bytearray) or not isinstance(values, Iterable):
        raise refusal
    try:
        # Counted first where that can be done: a range may be larger than memory.
        if isinstance(values, Sequence) and len(values) > most:
            raise refusal
        members = list(itertools.islice(values, most + 1))
    except InvalidArgumentError:
        raise
    except Exception as error:  # of an array without entries of its own, or somebody's iterator
        raise refusal from error
    if len(members) > most:
        raise refusal
    return members


def require_sequence(argument: str, values: Any) -> tuple[Any, ...]:
    """Return the members of a list or tuple; text is none, and neither is what can be read once."""
    if isinstance(values, str | bytes) or not isinstance(values, Sequence):
        raise InvalidArgumentError(argument, shortened(values), "pass a list or tuple")
    if len(values) > MOST_SEEDS:
        raise InvalidArgumentError(
            argument, f"{magnitude(len(values))} members", f"pass at most {MOST_SEEDS}"
        )
    return tuple(values)


def require_table(argument: str, value: object, entries: int, instead: str = "") -> None:
    """Refuse a size for which a table would have more entries than are ever useful.

    From the numbers, before anything is allocated.

    Parameters
    ----------
    argument, value
        The size that makes it so large.
    entries
        How many numbers the table, or all tables together, would hold.
    instead
        What else would help, behind a semicolon.
    """
    if entries > LARGEST_TABLE:
        raise InvalidArgumentError(
            argument,
            f"{shortened(value)}, with which tables would hold {magnitude(entries)} numbers",
            f"pass smaller sizes: at most {LARGEST_TABLE} numbers, 256 MiB{instead}",
        )


def magnitude(number: int) -> str:
    """Return an integer in digits, or its power of ten where nobody would read the digits."""
    if number < 10**15:
        return str(number)
    # Python refuses to write integers of thousands of digits; their logarithm is enough.
    return f"about 10^{int(number.bit_length() * 0.30103)}"
