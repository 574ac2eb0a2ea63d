"""A problem with other classes than its family's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class BuiltWithClasses:
    """A family's function that also takes the ``reward`` and ``policy`` class of the problem.

    Parameters
    ----------
    family
        Function that builds a ``Problem``.
    """

    family: Callable[..., Any]

    def __call__(self, *, reward: Any = None, policy: Any = None, **arguments: Any) -> Any:
        """Build the problem; a class that is None is the family's own."""
        return self.family(**arguments).with_classes(reward=reward, policy=policy)
