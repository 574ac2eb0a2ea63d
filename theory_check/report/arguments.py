"""The arguments of components with their defaults, and what their docstrings say of them."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping

from theory_check.runs.build import REQUIRED, Parameter, field_parameters, function_parameters

_SECTIONS = ("Parameters", "Attributes")
_HEADING = re.compile(r"^(\w[\w ]*)\n-+$", re.M)
_ROLE = re.compile(r":\w+:`~?([^`]*)`")
_ENTRY = re.compile(r"^(\S[^\n]*)\n((?:[ ]+[^\n]*\n?|\n)*)", re.M)


def arguments_of(component: Callable[..., object]) -> dict[str, str]:
    """Return what each argument of a family or a dataclass is: its default, and its description."""
    parameters: Mapping[str, Parameter] = (
        field_parameters(component)
        if isinstance(component, type) and dataclasses.is_dataclass(component)
        else function_parameters(component)
    )
    # What a class inherits is described where it is defined.
    told: dict[str, str] = {}
    for part in reversed(component.__mro__) if isinstance(component, type) else (component,):
        told |= _described(part)
    return {
        name: " ".join(part for part in (_default(parameter.default), told.get(name, "")) if part)
        for name, parameter in parameters.items()
    }


def summary_of(component: object) -> str:
    """Return the first paragraph of a docstring, on one line."""
    return " ".join(_docstring(component).partition("\n\n")[0].split())


def _default(value: object) -> str:
    return "(required)" if value is REQUIRED else f"= {value!r}."


def _docstring(component: object) -> str:
    """Return a docstring without the marks of roles."""
    return _ROLE.sub(r"\1", inspect.getdoc(component) or "")


def _described(component: object) -> dict[str, str]:
    """Return the descriptions of parameters or attributes in a docstring of numpy style, by name."""
    parts = _HEADING.split(_docstring(component))
    told: dict[str, str] = {}
    for title, text in zip(parts[1::2], parts[2::2], strict=True):
        if title in _SECTIONS:
            for names, description in _ENTRY.findall(text.strip("\n") + "\n"):
                for name in names.partition(":")[0].split(","):
                    told[name.strip()] = " ".join(description.split())
    return told
