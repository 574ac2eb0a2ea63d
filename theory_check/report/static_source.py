"""What Python files say, without running them: names, classes, docstrings, and values written out.

Importing the rooms takes seconds, most of them for torch. What a component is called and what its
docstring says can be read. :class:`Unread` says that something would have to be run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias


class Unread(Exception):  # noqa: N818 - no error: the caller imports instead
    """Something that only running the file would tell."""


Written: TypeAlias = "tuple[StaticModule, ast.expr]"
"""An expression, and the module whose names it uses."""

REQUIRED = object()
"""The default of a field that has none."""


@dataclass
class Reader:
    """Source files by the dotted names of their modules.

    Attributes
    ----------
    folders
        Folders of packages by their dotted names; what is imported from elsewhere is not read.
    """

    folders: Mapping[str, Path]
    _read: dict[str, StaticModule | None] = field(default_factory=dict)

    def module(self, name: str) -> StaticModule | None:
        """Return the module called ``name``, or None where no folder has it.

        Raises
        ------
        SyntaxError
            For what is no Python.
        OSError
            For a file that cannot be read.
        """
        if name not in self._read:
            found = self._path(name)
            self._read[name] = None if found is None else StaticModule(self, name, found)
        return self._read[name]

    def _path(self, name: str) -> Path | None:
        for package, folder in self.folders.items():
            if name == package or name.startswith(f"{package}."):
                path = folder.joinpath(*name[len(package) + 1 :].split("."))
                for each in (path / "__init__.py", path.with_suffix(".py")):
                    if each.is_file():
                        return each
        return None


class StaticModule:
    """A module by its syntax tree.

    Parameters
    ----------
    reader
        Of the modules that it imports.
    name
        Dotted name.
    path
        The file.
    """

    def __init__(self, reader: Reader, name: str, path: Path) -> None:
        self.name = name
        self._reader = reader
        self._package = name if path.stem == "__init__" else name.rpartition(".")[0]
        self._defined: dict[str, Any] = {}
        for statement in ast.parse(path.read_bytes()).body:
            self._enter(statement)
        self._evaluating: set[str] = set()

    def _enter(self, statement: ast.stmt) -> None:
        match statement:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                self._defined[name] = statement
            case ast.ImportFrom(names=imported):
                for alias in imported:
                    self._defined[alias.asname or alias.name] = (statement, alias.name)
            case ast.Import(names=imported):
                for alias in imported:
                    bound = alias.name if alias.asname else alias.name.partition(".")[0]
                    self._defined[alias.asname or bound] = (statement, bound)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._defined[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                self._defined[name] = value
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                for target, part in zip(names, values, strict=False):
                    if isinstance(target, ast.Name):
                        self._defined[target.id] = part

    def defines(self, name: str) -> bool:
        """Return whether the module gives ``name`` a meaning that can be read."""
        return name in self._defined

    def own_classes(self) -> Iterator[StaticClass]:
        """Yield the classes that the module defines."""
        for found in self._defined.values():
            if isinstance(found, ast.ClassDef):
                yield StaticClass(self, found)

    def own_calls(self) -> Iterator[tuple[str, ast.Call]]:
        """Yield the names to which the module assigns what a call returns, and the calls."""
        for name, found in self._defined.items():
            if isinstance(found, ast.Call):
                yield name, found

    def get(self, name: str) -> Any:
        """Return what ``name`` stands for: a value, a :class:`StaticClass`, a function, a module.

        Raises
        ------
        Unread
            Where only running the file would tell.
        """
        if name not in self._defined or name in self._evaluating:
            raise Unread(f"{self.name}.{name}")
        self._evaluating.add(name)
        try:
            return self._meaning(self._defined[name])
        finally:
            self._evaluating.discard(name)

    def _meaning(self, found: Any) -> Any:
        match found:
            case ast.ClassDef():
                return StaticClass(self, found)
            case ast.FunctionDef():
                return found
            case (ast.Import(), str(dotted)):
                return self._other(dotted)
            case (ast.ImportFrom() as statement, str(name)):
                parts = self._package.split(".")
                above = parts[: len(parts) - statement.level + 1] if statement.level else []
                dotted = ".".join([*above, *([statement.module] if statement.module else [])])
                module = self._other(dotted)
                return module.get(name) if module.defines(name) else self._other(f"{dotted}.{name}")
        return self.value(found)

    def _other(self, name: str) -> StaticModule:
        try:
            found = self._reader.module(name)
        except (OSError, SyntaxError, ValueError) as error:
            raise Unread(f"{name}: {error}") from error
        if found is None:
            raise Unread(name)
        return found

    def value(self, node: ast.expr) -> Any:
        """Return the value of an expression; a call of a dataclass is a :class:`Record`.

        Raises
        ------
        Unread
            Where only running the file would tell.
        """
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return self.get(name)
            case ast.Attribute(value=owner, attr=name):
                return self._member(self.value(owner), name)
            case ast.Tuple(elts=parts):
                return tuple(self.value(part) for part in parts)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return -value
            case ast.Subscript(value=owner, slice=index):
                return self._item(self.value(owner), self.value(index))
            case ast.JoinedStr(values=parts):
                return "".join(self._text(part) for part in parts)
            case ast.Call():
                return self._made(node)
        raise Unread(f"{self.name}: {ast.unparse(node)}")

    def _made(self, call: ast.Call) -> Record:
        """Return what a call of a dataclass, or of ``dataclasses.replace``, makes."""
        named = {each.arg: (self, each.value) for each in call.keywords if each.arg is not None}
        match call.func:
            case ast.Name(id=name) if self._is_replace(name) and len(call.args) == 1:
                changed = self.value(call.args[0])
                if isinstance(changed, Record):
                    return changed.with_arguments(named)
            case function:
                made = self.value(function)
                if isinstance(made, StaticClass) and made.is_dataclass:
                    given = ((self, each) for each in call.args)
                    return Record(made, {**dict(zip(made.fields(), given, strict=False)), **named})
        raise Unread(f"{self.name}: {ast.unparse(call)}")

    def _is_replace(self, name: str) -> bool:
        match self._defined.get(name):
            case (ast.ImportFrom(module="dataclasses"), "replace"):
                return True
        return False

    def _member(self, owner: Any, name: str) -> Any:
        if isinstance(owner, StaticModule):
            return owner.get(name) if owner.defines(name) else self._other(f"{owner.name}.{name}")
        if isinstance(owner, StaticClass):
            return owner.attribute(name)
        if isinstance(owner, Record):
            return getattr(owner, name)
        raise Unread(f"{self.name}: .{name}")

    def _item(self, owner: Any, index: Any) -> Any:
        if (
            isinstance(owner, tuple)
            and isinstance(index, int)
            and -len(owner) <= index < len(owner)
        ):
            return owner[index]
        raise Unread(f"{self.name}: [{index}]")

    def _text(self, part: ast.expr) -> str:
        match part:
            case ast.FormattedValue(value=inner, conversion=-1, format_spec=form):
                found = self.value(inner)
                if isinstance(found, str | int | float):
                    return format(found, "" if form is None else self.value(form))
            case ast.Constant(value=str() as text):
                return text
        raise Unread(f"{self.name}: {ast.unparse(part)}")


class StaticClass:
    """A class by its syntax tree; its class attributes, inherited ones too, are attributes of this."""

    def __init__(self, module: StaticModule, node: ast.ClassDef) -> None:
        self._module = module
        self._node = node

    @property
    def path(self) -> str:
        """Dotted name of the module, and the name."""
        return f"{self._module.name}.{self._node.name}"

    @property
    def docstring(self) -> str:
        """The docstring; :class:`Unread` where ``dataclass`` makes one."""
        if (found := ast.get_docstring(self._node, clean=False)) is None and self.is_dataclass:
            raise Unread(f"{self.path}.__doc__")
        return found or ""

    def ancestors(self) -> Iterator[StaticClass]:
        """Yield the class and those that it derives from, as far as they can be read."""
        yield self
        for base in self._node.bases:
            try:
                found = self._module.value(base)
            except Unread:
                continue
            # A class may take the name of what it derives from, which is then no longer found.
            if isinstance(found, StaticClass) and found.path != self.path:
                yield from found.ancestors()

    @property
    def is_dataclass(self) -> bool:
        """Whether the class, or one that it derives from, is decorated as one."""
        return any(each._is_decorated for each in self.ancestors())

    @property
    def _is_decorated(self) -> bool:
        decorators = (
            each.func if isinstance(each, ast.Call) else each for each in self._node.decorator_list
        )
        return any(
            ast.unparse(each) in ("dataclass", "dataclasses.dataclass") for each in decorators
        )

    def fields(self) -> dict[str, Any]:
        """Return the arguments of a dataclass and their defaults, :data:`REQUIRED` where it has none."""
        found: dict[str, Any] = {}
        for each in reversed(list(self.ancestors())):
            for statement in each._node.body if each._is_decorated else ():
                match statement:
                    case ast.AnnAssign(target=ast.Name(id=name), annotation=kind, value=value):
                        if "ClassVar" in ast.unparse(kind):
                            continue
                        found[name] = REQUIRED if value is None else each._module.value(value)
        return found

    def attribute(self, name: str) -> Any:
        """Return a class attribute, the class's own or an inherited one.

        Raises
        ------
        AttributeError
            Where there is none.
        Unread
            Where only running the file would tell its value.
        """
        for each in self.ancestors():
            for statement in each._node.body:
                match statement:
                    case (
                        ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value)
                        | ast.Assign(targets=[ast.Name(id=target)], value=value)
                    ) if target == name:
                        return each._module.value(value)
        raise AttributeError(f"{self.path} has no attribute {name!r}")

    __getattr__ = attribute


class Record:
    """An instance of a dataclass as it is written; its arguments are its attributes."""

    def __init__(self, made: StaticClass, written: Mapping[str, Written]) -> None:
        self._made = made
        self._written = written

    def is_a(self, path: str) -> bool:
        """Return whether its class is the one at ``path``, or derives from it."""
        return any(each.path == path for each in self._made.ancestors())

    def with_arguments(self, changed: Mapping[str, Written]) -> Record:
        """Return it with other arguments."""
        return Record(self._made, {**self._written, **changed})

    def __getattr__(self, name: str) -> Any:
        """Return an argument, or its default."""
        if name in self._written:
            module, expression = self._written[name]
            return module.value(expression)
        default = self._made.fields().get(name, REQUIRED)
        if default is REQUIRED:
            raise Unread(f"{self._made.path}.{name}")
        return default
