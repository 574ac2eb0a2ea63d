"""Tables of an experiment file -> components, with every key and every type checked."""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import tomllib
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from beartype.door import is_bearable

from theory_check.errors import InvalidArgumentError, is_number, nearest, shortened
from theory_check.files import read_file

REQUIRED = object()
"""Stands for the default of a parameter that has none."""

_SEQUENCES = (
    tuple,
    list,
    collections.abc.Sequence,
    collections.abc.Collection,
    collections.abc.Iterable,
)
_MAPPINGS = (dict, collections.abc.Mapping)


@dataclasses.dataclass(frozen=True)
class Components:
    """What the values of a file may stand for.

    Attributes
    ----------
    classes
        By the ``name`` of a table, whose other keys are the fields of an instance.
    named
        Objects that a text stands for where one of their class is wanted, such as methods.
    """

    classes: Mapping[str, type] = dataclasses.field(default_factory=dict)
    named: Mapping[str, object] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A key that a table may hold: its type, and its default or :data:`REQUIRED`."""

    hint: Any
    default: object


def field_parameters(cls: type) -> dict[str, Parameter]:
    """Return the parameters of a dataclass by name."""
    hints = get_type_hints(cls)  # without what an annotation refuses: the class does that itself
    found = {}
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        default: object = REQUIRED
        if field.default is not dataclasses.MISSING:
            default = field.default
        elif field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        found[field.name] = Parameter(hints[field.name], default)
    return found


def function_parameters(function: Callable[..., object]) -> dict[str, Parameter]:
    """Return the named parameters of a function by name."""
    return {
        name: Parameter(
            _hint(function, name),
            REQUIRED if parameter.default is inspect.Parameter.empty else parameter.default,
        )
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }


def takes_any_key(function: Callable[..., object]) -> bool:
    """Return whether a function has a ``**kwargs`` parameter."""
    kinds = {parameter.kind for parameter in inspect.signature(function).parameters.values()}
    return inspect.Parameter.VAR_KEYWORD in kinds


def _hint(function: Callable[..., object], name: str) -> Any:
    """Return the type of one parameter; ``object`` where it cannot be evaluated at run time."""
    function = inspect.unwrap(function)
    annotations = {name: function.__annotations__.get(name, object)}
    holder = types.SimpleNamespace(__annotations__=annotations)
    try:
        return get_type_hints(holder, function.__globals__)[name]
    except NameError:  # a name imported for type checkers only; the function checks the value
        return object


def join(where: str, key: str) -> str:
    """Return the dotted key of ``key`` inside the table ``where``."""
    return f"{where}.{key}" if where else key


def bind(
    table: Mapping[str, object],
    parameters: Mapping[str, Parameter],
    where: str,
    components: Components,
) -> dict[str, Any]:
    """Return the arguments that ``table`` stands for, defaults filled in.

    Parameters
    ----------
    table
        Keys and values as written in the file.
    parameters
        The keys that are known.
    where
        Dotted key of the table, ``""`` for the top level.
    components
        What tables and texts may stand for.

    Raises
    ------
    InvalidArgumentError
        For an unknown key, a missing key or a value of the wrong type; it names the dotted key.
    """
    for key in table:
        if key not in parameters:
            raise InvalidArgumentError(join(where, key), "an unknown key", nearest(key, parameters))
    arguments = {}
    for name, parameter in parameters.items():
        value = table.get(name, parameter.default)
        if value is REQUIRED and type(None) in get_args(parameter.hint):
            value = None  # TOML cannot write it, so leaving the key out has to
        if value is REQUIRED:
            raise InvalidArgumentError(
                join(where, name), "nothing", f"add this key with {readable(parameter.hint)}"
            )
        arguments[name] = coerce(value, parameter.hint, join(where, name), components)
    return arguments


def build(cls: type, table: Mapping[str, object], where: str, components: Components) -> Any:
    """Return an instance of the dataclass ``cls`` from ``table``; raises as :func:`bind`."""
    arguments = bind(table, field_parameters(cls), where, components)
    with located(where):
        return cls(**arguments)


class located:  # noqa: N801 - reads as a statement: ``with located("settings"):``
    """Put the dotted key of a table before the argument that an error names."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Raise the error again, with its place."""
        if isinstance(error, InvalidArgumentError):
            place = join(self.where, error.argument)
            raise type(error)(place, error.received, error.remedy) from error


def coerce(value: object, hint: Any, where: str, components: Components) -> Any:
    """Return ``value`` as an instance of ``hint``, or refuse it naming ``where``.

    Integers stand for floats, lists for tuples, and tables and names for components.
    """
    if get_origin(hint) in (Union, types.UnionType):
        return _coerce_to_any(value, hint, where, components)
    if isinstance(value, bool) and hint in (int, float):
        raise _refusal(value, hint, where)
    if isinstance(value, int) and hint is float:
        if not is_number(value):  # beyond the range of floats
            raise _refusal(value, hint, where)
        return float(value)
    if isinstance(value, str) and inspect.isclass(hint):
        value = _named(value, hint, where, components)
    if isinstance(value, list | tuple | range) and get_origin(hint) in _SEQUENCES:
        value = _coerce_elements(value, hint, where, components)
    elif isinstance(value, Mapping):
        if get_origin(hint) in _MAPPINGS:
            member = get_args(hint)[1]
            value = {
                key: coerce(entry, member, join(where, str(key)), components)
                for key, entry in value.items()
            }
        elif inspect.isclass(hint) and hint not in (object, *_MAPPINGS):
            return _component(value, hint, where, components)
    if not _accepts(value, hint):
        raise _refusal(value, hint, where)
    return value


def _named(text: str, hint: type, where: str, components: Components) -> object:
    """Return the object of the class ``hint`` that a text stands for; the text where none is of it."""
    choices = {name: found for name, found in components.named.items() if type(found) is hint}
    if not choices:
        return text
    if text not in choices:
        raise InvalidArgumentError(where, shortened(text), nearest(text, choices))
    return choices[text]


def readable(hint: object) -> str:
    """Return a type as a user would write it."""
    members = [member for member in get_args(hint) if member is not type(None)]
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(repr, members))}"
    if len(members) == 1 and get_origin(members[0]) is Literal:
        return readable(members[0])
    text = inspect.formatannotation(hint).replace("typing.", "").replace("collections.abc.", "")
    return f"a value of type {text}"


def _refusal(value: object, hint: object, where: str) -> InvalidArgumentError:
    return InvalidArgumentError(where, shortened(value), f"pass {readable(hint)}")


def _coerce_to_any(value: object, hint: Any, where: str, components: Components) -> Any:
    members = [member for member in get_args(hint) if member is not type(None)]
    if value is None and len(members) < len(get_args(hint)):
        return None
    if len(members) == 1:
        return coerce(value, members[0], where, components)
    for member in members:
        try:
            return coerce(value, member, where, components)
        except InvalidArgumentError:
            continue
    raise _refusal(value, hint, where)


def _coerce_elements(
    value: list[object] | tuple[object, ...] | range,
    hint: Any,
    where: str,
    components: Components,
) -> object:
    members = get_args(hint)
    if get_origin(hint) is tuple and not (len(members) == 2 and members[1] is Ellipsis):
        if len(members) != len(value):
            raise _refusal(value, hint, where)
    else:
        members = (members[0],) * len(value)
    elements = [
        coerce(element, member, f"{where}[{position}]", components)
        for position, (element, member) in enumerate(zip(value, members, strict=True))
    ]
    return elements if get_origin(hint) is list else tuple(elements)


def _accepts(value: object, hint: Any) -> bool:
    if getattr(hint, "_is_protocol", False) and not getattr(hint, "_is_runtime_protocol", False):
        return True  # such a protocol cannot be checked; membership of the room stands for it
    return is_bearable(value, hint)


def _component(
    table: Mapping[str, object], hint: type, where: str, components: Components
) -> object:
    choices = {name: cls for name, cls in components.classes.items() if _subclass(cls, hint)}
    choices |= {cls.name: cls for cls in _descendants(hint) if hasattr(cls, "name")}
    if not choices:
        if not dataclasses.is_dataclass(hint):
            raise InvalidArgumentError(where, "a table", f"pass {readable(hint)}")
        return build(hint, table, where, components)
    name = table.get("name")
    if not isinstance(name, str) or name not in choices:
        received = "nothing" if name is None else repr(name)
        remedy = nearest(name if isinstance(name, str) else "", choices)
        raise InvalidArgumentError(join(where, "name"), received, remedy)
    settings = {key: value for key, value in table.items() if key != "name"}
    return build(choices[name], settings, where, components)


def _subclass(cls: type, hint: type) -> bool:
    return bool(getattr(hint, "_is_protocol", False)) or issubclass(cls, hint)


def _descendants(cls: type) -> Iterator[type]:
    child: type
    for child in cls.__subclasses__():
        if dataclasses.is_dataclass(child) and not inspect.isabstract(child):
            yield child
        yield from _descendants(child)


Table = dict[str, object]


def parsed(path: Path) -> Table:
    """Return what a TOML file says.

    Raises
    ------
    InvalidArgumentError
        For a file that cannot be read or is no TOML.
    """
    try:
        return tomllib.loads(read_file(path).decode("utf-8"))
    except OSError as error:
        raise InvalidArgumentError(
            "experiment file", error.strerror or "no file", "pass the path of a readable TOML file"
        ) from error
    except ValueError as error:  # no TOML, no UTF-8, or an integer of thousands of digits
        raise InvalidArgumentError(
            "experiment file", "text that is not TOML", f"correct it: {shortened(str(error), 200)}"
        ) from error


def with_axes(content: Table, axes: Mapping[str, list[object]]) -> Table:
    """Return the file with further axes of its grid, refused where it sets them itself."""
    grid = content.get("grid", {})
    if not axes or not isinstance(grid, dict):
        return content
    quick = content.get("quick", {})
    quick_grid = quick.get("grid", {}) if isinstance(quick, dict) else {}
    for where, table in (("grid", grid), ("quick.grid", quick_grid)):
        for axis in axes:
            if isinstance(table, dict) and axis in table:
                raise InvalidArgumentError(
                    f"{where}.{axis}",
                    shortened(table[axis]),
                    "leave it out: it is chosen by the caller",
                )
    return {**content, "grid": {**grid, **axes}}
