"""What a source file computes with and what it imports, read without running it.

Docstrings, comments, layout and what only a type checker sees cannot change a number, so they are
left out of the digest.
"""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

DIGITS = 16
"""Hexadecimal digits of a file's digest: enough to tell versions of one file apart."""

_LAYOUT = frozenset({"ctx", "kind", "type_comment"})
_IMPORTS = (ast.Import, ast.ImportFrom)
_STORES = (ast.Attribute, ast.Subscript)


@dataclass(frozen=True)
class Import:
    """One name that a file imports.

    Attributes
    ----------
    level, module
        As in ``from ..module import name``: the number of dots, and what follows them.
    name
        What is taken from the module; None for ``import module``.
    bound
        The name it goes by in the file.
    """

    level: int
    module: str
    name: str | None
    bound: str


@dataclass(frozen=True)
class SourceFile:
    """What of a file can change a number.

    The parts of an ``__init__`` are told apart, since who imports a name that it only passes on
    reaches neither the rest of it nor the other names. Of other files the last four are empty.

    Attributes
    ----------
    digest
        Of all code.
    imports
        Everything that is imported, inside functions as well.
    passed_on
        Imports at the top level, by the name they bind.
    own_digest, own_imports, defined
        The code that is neither an import nor ``__all__``: its digest, the imports that it uses and
        the names that it defines.
    acts
        Whether importing the file does more than define names.
    """

    digest: str
    imports: tuple[Import, ...]
    passed_on: Mapping[str, tuple[Import, ...]] = field(default_factory=dict)
    own_digest: str = ""
    own_imports: tuple[Import, ...] = ()
    defined: frozenset[str] = frozenset()
    acts: bool = False


def read_source(path: Path | str) -> SourceFile:
    """Return what is in a file; a file that did not change is parsed once."""
    stat = os.stat(path)
    return _read(str(path), stat.st_mtime_ns, stat.st_size)


@cache
def _read(path: str, modified: int, size: int) -> SourceFile:
    with open(path, "rb") as file:
        content = file.read()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # whoever imports it says what is wrong with it
        return SourceFile(hashlib.sha256(content).hexdigest()[:DIGITS], ())
    code = _Code()
    code.statements(tree.body)
    statements = list(_running(tree.body))
    imported = [each for each in statements if isinstance(each, _IMPORTS)]
    if os.path.basename(path) != "__init__.py":
        return SourceFile(code.digest(), tuple(code.imports), _by_bound(imported))
    own = _Code()
    owned = [each for each in statements if not isinstance(each, _IMPORTS) and not _is_all(each)]
    own.statements(owned)
    defined = frozenset(name for each in owned for name in _defined(each))
    if "__getattr__" in defined:
        # What is imported on first use is declared for type checkers.
        imported += [each for each in _unseen(tree.body) if isinstance(each, _IMPORTS)]
    passed_on = _by_bound(imported)
    used = (each for name in sorted(own.names & passed_on.keys()) for each in passed_on[name])
    return SourceFile(
        code.digest(),
        tuple(code.imports),
        passed_on,
        own.digest(),
        (*own.imports, *used),
        defined,
        any(_acts(each) for each in owned),
    )


def _by_bound(statements: Iterable[ast.stmt]) -> dict[str, tuple[Import, ...]]:
    found: dict[str, tuple[Import, ...]] = {}
    for statement in statements:
        for each in _imports(statement):
            found[each.bound] = (*found.get(each.bound, ()), each)
    return found


class _Code:
    """Code written down without positions, in the same way under every version of Python."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.imports: list[Import] = []
        self.names: set[str] = set()

    def digest(self) -> str:
        return hashlib.sha256("".join(self.text).encode(errors="surrogatepass")).hexdigest()[
            :DIGITS
        ]

    def statements(self, body: Iterable[ast.stmt]) -> None:
        for statement in _running(body):
            self.node(statement)

    def node(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            self.imports.extend(_imports(node))
        elif isinstance(node, ast.Name):
            self.names.add(node.id)
        self.text.append(f"{type(node).__name__}(")
        for name in node._fields:
            value = getattr(node, name, None)
            # Fields that are empty are left out: newer versions of Python have more of them.
            if value is not None and value != [] and name not in _LAYOUT:
                self.text.append(f"{name}=")
                self.value(value)
        self.text.append(")")

    def value(self, value: object) -> None:
        if isinstance(value, ast.AST):
            self.node(value)
        elif isinstance(value, list):
            self.text.append("[")
            if value and isinstance(value[0], ast.stmt):
                self.statements(value)
            else:
                for each in value:
                    self.value(each)
            self.text.append("]")
        else:
            self.text.append(f"{value!r},")


def _running(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run: no docstrings, nothing for type checkers."""
    for statement in body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        branches = _branches(statement)
        if branches is None:
            yield statement
        else:
            yield from _running(branches[0])


def _unseen(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements at the top level that only a type checker sees."""
    for statement in body:
        branches = _branches(statement)
        if branches is not None:
            yield from branches[1]


def _branches(statement: ast.stmt) -> tuple[list[ast.stmt], list[ast.stmt]] | None:
    """Return what runs and what does not where the condition is ``TYPE_CHECKING`` or its negation."""
    if not isinstance(statement, ast.If):
        return None
    test = statement.test
    if _is_type_checking(test):
        return statement.orelse, statement.body
    if (
        isinstance(test, ast.UnaryOp)
        and isinstance(test.op, ast.Not)
        and _is_type_checking(test.operand)
    ):
        return statement.body, statement.orelse
    return None


def _is_type_checking(test: ast.expr) -> bool:
    name = getattr(test, "id", getattr(test, "attr", None))
    return isinstance(test, ast.Name | ast.Attribute) and name == "TYPE_CHECKING"


def _imports(statement: ast.stmt) -> Iterator[Import]:
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            bound = alias.asname or alias.name.partition(".")[0]
            yield Import(0, alias.name, None, bound)
    elif isinstance(statement, ast.ImportFrom):
        for alias in statement.names:
            bound = alias.asname or alias.name
            yield Import(statement.level, statement.module or "", alias.name, bound)


def _is_all(statement: ast.stmt) -> bool:
    targets = getattr(statement, "targets", [getattr(statement, "target", None)])
    return any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets)


def _defined(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (each.bound for each in _imports(node))


def _acts(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    return any(
        isinstance(node, ast.Call | ast.Delete)
        or (isinstance(node, _STORES) and not isinstance(node.ctx, ast.Load))
        for node in ast.walk(statement)
    )
