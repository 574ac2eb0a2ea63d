"""Settings that say in their annotations which values they take.

A frozen dataclass that derives from :class:`Settings` refuses all others when it is made. Each annotation
carries a ``require_*`` function of :mod:`theory_check.errors`; a rule across fields stands in the
``__post_init__`` of its class, behind ``super().__post_init__()``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache, partial
from types import UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from theory_check.errors import (
    InvalidArgumentError,
    is_setting,
    require_choice,
    require_flag,
    require_fraction,
    require_instance,
    require_non_negative,
    require_positive,
    require_positive_integer,
    require_positive_share,
    require_scale,
    require_seed,
    require_sequence,
    require_target,
    shortened,
)

Refusal: TypeAlias = Callable[[str, Any], object]
"""Called with the name of an argument and its value; raises :class:`InvalidArgumentError`."""


@dataclass(frozen=True)
class Check:
    """What an annotation refuses, as ``Annotated[float, Check(require_positive)]``."""

    refuse: Refusal


def one_of(choices: Iterable[str]) -> Check:
    """Return the check of a name that is chosen among those known when it is made."""
    return Check(partial(require_choice, choices=choices))


def instance_of(kind: type, remedy: str) -> Check:
    """Return the check of an object of a class; ``remedy`` says what to pass."""
    return Check(partial(require_instance, kinds=kind, remedy=remedy))


def _require_accuracies(argument: str, values: object) -> None:
    members = require_sequence(argument, values)
    if not members or not all(is_setting(each) and 0 < each < 1 for each in members):
        raise InvalidArgumentError(argument, shortened(values), "pass accuracies between 0 and 1")


Positive = Annotated[float, Check(require_positive)]
"""A finite number above 0."""

NonNegative = Annotated[float, Check(require_non_negative)]
"""A finite number of at least 0."""

Scale = Annotated[float, Check(require_scale)]
"""A positive number whose powers stay finite: from 1e-100 to 1e100."""

Fraction = Annotated[float, Check(require_fraction)]
"""Above 0 and below 1."""

PositiveShare = Annotated[float, Check(require_positive_share)]
"""Above 0 and at most 1."""

Accuracies = Annotated[tuple[float, ...], Check(_require_accuracies)]
"""Fractions, at least one; refused as a whole."""

Target = Annotated[float, Check(require_target)]
"""A target for the squared norm, above 0 and below 1."""

PositiveInteger = Annotated[int, Check(require_positive_integer)]
"""An integer of at least 1."""

Seed = Annotated[int, Check(require_seed)]
"""An integer of at least 0 and below 2**128."""

Flag = Annotated[bool, Check(require_flag)]
"""True or False, and no number in its place."""


class Settings:
    """Base of frozen dataclasses whose fields are checked by their annotations."""

    def __post_init__(self) -> None:
        """Refuse what a field does not take.

        Raises
        ------
        InvalidArgumentError
            Naming the field, as ``sigma``, ``sigmas[0]`` or ``start.sigma``.
        """
        made: type = type(self)
        for name, refuse in _refusals(made):
            refuse(name, getattr(self, name))


# Kept for each class: annotations are text until they are evaluated, and instances may be many.
@cache
def _refusals(cls: Any) -> tuple[tuple[str, Refusal], ...]:
    hints = get_type_hints(cls, include_extras=True)
    found = ((field.name, _refusal(hints[field.name])) for field in fields(cls))
    return tuple((name, refuse) for name, refuse in found if refuse is not None)


def _refusal(hint: Any) -> Refusal | None:
    """Return what refuses other values than those of an annotation; None where any is taken.

    Literals of text, alternatives to None, sequences, which must not be empty, and the values of
    mappings are looked into.
    """
    origin, members = get_origin(hint), get_args(hint)
    if origin is Annotated:
        own = [each.refuse for each in hint.__metadata__ if isinstance(each, Check)]
        return own[0] if own else _refusal(members[0])
    if origin is Literal and all(isinstance(each, str) for each in members):
        return partial(require_choice, choices=members)
    if origin in (Union, UnionType) and len(members) == 2 and type(None) in members:
        inner = _refusal(next(each for each in members if each is not type(None)))
        return inner and partial(_unless_none, inner)
    if origin is Sequence or (origin is tuple and members[1:] == (...,)):
        inner = _refusal(members[0])
        return inner and partial(_each_member, inner)
    if origin is Mapping:
        inner = _refusal(members[1])
        return inner and partial(_each_value, inner)
    return None


def _unless_none(refuse: Refusal, argument: str, value: object) -> None:
    if value is not None:
        refuse(argument, value)


def _each_member(refuse: Refusal, argument: str, values: object) -> None:
    members = require_sequence(argument, values)
    if not members:
        raise InvalidArgumentError(argument, "an empty list", "pass at least one value")
    for index, member in enumerate(members):
        refuse(f"{argument}[{index}]", member)


def _each_value(refuse: Refusal, argument: str, values: Any) -> None:
    require_instance(argument, values, Mapping, "pass a table of names and values")
    for name, value in values.items():
        refuse(f"{argument}.{name}", value)
