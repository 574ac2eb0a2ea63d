"""Specifications of problems: what builds one, and what identifies it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

CLASS_KEYS = ("reward", "policy")
"""Keys of a problem's table that name its classes; a family's own parameters go by other names."""

PREFERENCES = "preferences"
"""Key of a problem's table with the annotator's law."""

OWN_KEYS = (*CLASS_KEYS, PREFERENCES)
"""Keys that every preference-learning problem takes beside the parameters of its family."""


@dataclass(frozen=True)
class ProblemSpec:
    """What builds a problem, and what identifies it.

    Attributes
    ----------
    family
        Name of the family.
    parameters
        Keyword arguments with the defaults filled in; ``reward`` and ``policy`` are the classes, and
        ``preferences`` the annotator's law, where they are not the family's own.
    function
        The family's function.
    """

    family: str
    parameters: Mapping[str, Any]
    function: Callable[..., Any]

    def __getstate__(self) -> dict[str, Any]:
        """Travel without the problem, which is built again where this arrives."""
        return {key: value for key, value in vars(self).items() if key != "_built"}

    def build(self) -> Any:
        """Return the problem, built once in a process."""
        return self._built

    @cached_property
    def _built(self) -> Any:
        classes = {key: self.parameters[key] for key in CLASS_KEYS if key in self.parameters}
        rest = {key: value for key, value in self.parameters.items() if key not in OWN_KEYS}
        problem = self.function(**rest)
        if PREFERENCES in self.parameters:
            problem = problem.with_preferences(self.parameters[PREFERENCES])
        return problem.with_classes(**classes) if classes else problem

    def with_parameters(self, **parameters: Any) -> Any:
        """Return the problem of other parameters, built anew."""
        return replace(self, parameters=parameters).build()

    @property
    def library(self) -> str | None:
        """The distribution that the family reads its problems from, None for most."""
        found: str | None = getattr(sys.modules.get(self.function.__module__), "LIBRARY", None)
        return found
