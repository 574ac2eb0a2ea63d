"""What of a file counts: the code that runs, and the imports in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from theory_check.runs.source_files import Import, SourceFile, read_source

Read = Callable[..., SourceFile]

CODE = """\
'''What it is for.'''
import math

LIMIT = 3
'''What it limits.'''

class Sum:
    '''Add.'''

    def of(self, x):
        return x + LIMIT
"""


@pytest.fixture
def read(tmp_path: Path) -> Read:
    count = 0

    def reading(text: str, name: str = "part.py") -> SourceFile:
        nonlocal count
        count += 1
        path = tmp_path / str(count) / name
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
        return read_source(path)

    return reading


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("What it is for.", "Another purpose, with a comma."),
        ("Add.", "Subtract."),
        ("What it limits.", ""),
        ("LIMIT = 3", "LIMIT = 3  # three"),
        ("LIMIT = 3", "\n\nLIMIT = (3)"),
    ],
)
def test_docstrings_comments_and_layout_do_not_count(read: Read, old: str, new: str) -> None:
    assert old in CODE
    assert read(CODE.replace(old, new)).digest == read(CODE).digest


@pytest.mark.parametrize(
    ("old", "new"),
    [("LIMIT = 3", "LIMIT = 4"), ("LIMIT = 3", "LIMIT = 3.0"), ("x +", "x -"), ("math", "cmath")],
)
def test_code_and_constants_count(read: Read, old: str, new: str) -> None:
    assert read(CODE.replace(old, new)).digest != read(CODE).digest


def test_what_only_a_type_checker_sees_does_not_count(read: Read) -> None:
    plain = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a\nelse:\n    import b\n"
    )
    source = read(plain)
    assert [each.module for each in source.imports] == ["typing", "b"]
    assert read(plain.replace("import a", "import c")).digest == source.digest
    turned = "import typing\nif not typing.TYPE_CHECKING:\n    import a\nelse:\n    import b\n"
    assert [each.module for each in read(turned).imports] == ["typing", "a"]


def test_an_import_inside_a_function_counts(read: Read) -> None:
    source = read("def late(x):\n    if x:\n        from ..solvers import parl as p\n")
    assert source.imports == (Import(2, "solvers", "parl", "p"),)


def test_the_parts_of_an_init_are_told_apart(read: Read) -> None:
    text = "from a import f, g\nfrom b import h\n__all__ = ['f', 'g']\ndef new():\n    return g()\n"
    source = read(text, "__init__.py")
    assert sorted(source.passed_on) == ["f", "g", "h"]
    assert source.defined == {"new"}
    assert [each.name for each in source.own_imports] == ["g"]
    assert not source.acts
    other = read(text.replace("import h", "import k").replace("['f', 'g']", "[]"), "__init__.py")
    assert other.own_digest == source.own_digest


@pytest.mark.parametrize("act", ["f()", "X = f()", "f.x = 1", "import f\nf['a'] = 1", "del f"])
def test_an_init_that_does_something_is_known(read: Read, act: str) -> None:
    assert read(f"from a import f\n{act}\n", "__init__.py").acts


def test_a_file_that_cannot_be_parsed_is_known_by_its_text(read: Read) -> None:
    assert read("def (").digest != read("def ((").digest


def test_a_file_is_read_again_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "part.py"
    path.write_text("x = 1")
    first = read_source(path)
    assert read_source(path) is first
    path.write_text("x = 10")
    assert read_source(path).digest != first.digest
