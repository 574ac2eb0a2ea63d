"""What a solver declares to need: capabilities, read off the types of the oracles that it takes."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable
from typing import Any, get_type_hints


def operations(capabilities: Iterable[type]) -> frozenset[str]:
    """Return the names of all operations of some protocols, those of their bases included."""
    return frozenset(
        name
        for capability in capabilities
        for base in capability.__mro__
        for name in _own_operations(base)
    )


def needs(solver: object) -> tuple[type, ...]:
    """Return the capabilities that a solver declares, by the types of the oracles that it takes.

    Parameters
    ----------
    solver
        A solver, or a class of solvers.

    Returns
    -------
    tuple of type
        The protocols with operations of their own among the bases of those types; none for an oracle
        without a type, or of a type that is no protocol.
    """
    kind = solver if isinstance(solver, type) else type(solver)
    found: dict[type, None] = {}
    for name in ("step", "hypergradient_estimate"):
        for base in getattr(_oracle_type(getattr(kind, name, None)), "__mro__", ()):
            if _own_operations(base):
                found[base] = None
    return tuple(found)


def _own_operations(base: type) -> list[str]:
    """Return the operations that a protocol has beside those of its bases; none of another class."""
    if not getattr(base, "_is_protocol", False):
        return []
    return [name for name, value in vars(base).items() if callable(value) and name[0] != "_"]


def _oracle_type(method: Callable[..., Any] | None) -> Any:
    """Return the type of the argument after ``self``; None where it cannot be told."""
    if method is None:
        return None
    written = inspect.unwrap(method)
    hints = [parameter.annotation for parameter in inspect.signature(written).parameters.values()]
    holder = types.SimpleNamespace(__annotations__={"oracle": hints[1]} if hints[1:] else {})
    try:
        return get_type_hints(holder, getattr(written, "__globals__", {})).get("oracle")
    except NameError:  # a name for type checkers only
        return None
