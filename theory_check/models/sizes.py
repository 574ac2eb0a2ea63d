"""Classes of other sizes: what a measurement varies of the classes that an experiment names."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

from theory_check.errors import InvalidArgumentError
from theory_check.models.base import PolicyClass, RewardClass

Named = TypeVar("Named", bound=RewardClass | PolicyClass)


def of_size(named: Named, **sizes: int | str) -> Named:
    """Return a class with other values of some settings, such as its width.

    Parameters
    ----------
    named
        The class.
    sizes
        Values by the name of a setting.

    Raises
    ------
    InvalidArgumentError
        If the class has no such setting.
    """
    settings: Any = named  # a frozen dataclass, as every concrete class is
    known = {field.name for field in fields(settings)}
    for setting, value in sizes.items():
        if setting not in known:
            raise InvalidArgumentError(
                setting, value, f"leave it out: the class {named.name!r} has {sorted(known)} only"
            )
    resized: Named = replace(settings, **sizes)
    return resized
