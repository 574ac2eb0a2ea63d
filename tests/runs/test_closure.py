"""The files that a module reaches, on packages of a few lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from theory_check.runs.closure import Closure

Plant = Callable[..., dict[str, str]]


@pytest.fixture
def reach(tmp_path: Path) -> Plant:
    """Write files into a package ``p`` and return the digests of what ``p.start`` reaches."""

    def reached(**files: str) -> dict[str, str]:
        for name, text in files.items():
            path = tmp_path / "p" / f"{name.replace('__slash__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        closure = Closure({"p": tmp_path / "p"}, [tmp_path / "beside"])
        closure.add(["p.start"])
        return {name: found.digest for name, found in closure.files().items()}

    return reached


ROOM = {
    "room__slash____init__": (
        '"""A room."""\n'
        "from p.room.a import a\n"
        "from p.room.b import b\n"
        "from .c import c as renamed\n"
        "from p.tools import tool, other\n"
        '__all__ = ["a", "b"]\n'
        "def made(x):\n"
        "    return tool(x)\n"
    ),
    "room__slash__a": "def a():\n    return 1\n",
    "room__slash__b": "def b():\n    return 2\n",
    "room__slash__c": "c = 3\n",
    "tools": "from p.more import *\ntool = other = None\n",
    "more": "",
}


@pytest.mark.parametrize(
    ("text", "reached"),
    [
        ("import numpy", []),
        ("import p.room.a", ["p.room.a"]),
        ("import p.room.a as x, p.more", ["p.more", "p.room.a"]),
        ("from p.room.a import a", ["p.room.a"]),
        ("from .room.a import a", ["p.room.a"]),
        ("from . import more", ["p.more"]),
        ("from .room import c", ["p.room.c"]),
        ("from p.room import a", ["p.room", "p.room.a"]),
        ("from p.room import renamed as n", ["p.room", "p.room.c"]),
        ("from p.room import made", ["p.more", "p.room", "p.tools"]),
        ("def late():\n    if 1:\n        from p.room import b", ["p.room", "p.room.b"]),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import p.room.a", []),
        ("import p.tools", ["p.more", "p.tools"]),
        ("import p.nowhere", []),
    ],
)
def test_what_an_import_reaches(reach: Plant, text: str, reached: list[str]) -> None:
    assert sorted(reach(**ROOM, start=text)) == sorted([*reached, "p.start"])


@pytest.mark.parametrize("text", ["import p.room", "from p.room import *", "from p import room"])
def test_who_imports_a_package_reaches_all_that_it_passes_on(reach: Plant, text: str) -> None:
    found = reach(**ROOM, start=text)
    assert {"p.room", "p.room.a", "p.room.b", "p.room.c", "p.tools"} <= found.keys()


def test_a_name_that_a_package_makes_by_itself_can_come_from_all_of_it(reach: Plant) -> None:
    found = reach(**ROOM, start="from p.room import conjured")
    assert {"p.room.a", "p.room.b", "p.room.c"} <= found.keys()


def test_a_name_imported_on_first_use_is_followed_as_declared(reach: Plant) -> None:
    lazy = (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from p.room.a import a\n    from p.room.b import b\n"
        "def __getattr__(name): ...\n"
    )
    found = reach(lazy__slash____init__=lazy, **ROOM, start="from p.lazy import a")
    assert sorted(found) == ["p.lazy", "p.room.a", "p.start"]


def test_passing_on_another_name_counts_for_who_imports_it_alone(reach: Plant) -> None:
    files = {**ROOM, "room__slash__a": "def a(): ...\ndef k(): ...\n"}
    for start, differs in (("from p.room import a", True), ("from p.room import b", False)):
        before = reach(**files, start=start)
        init = files["room__slash____init__"].replace("import a\n", "import k as a\n")
        after = reach(**{**files, "room__slash____init__": init}, start=start)
        assert (after != before) == differs


def test_a_package_that_acts_when_imported_counts_for_all_in_it(reach: Plant) -> None:
    files = {"room__slash__a": "", "start": "import p.room.a"}
    assert sorted(reach(**files, room__slash____init__="X = 1")) == ["p.room.a", "p.start"]
    acting = "import os\nfrom p.more import x\nfrom p.tools import y\nos.environ['A'] = x()"
    found = reach(**files, room__slash____init__=acting, more="", tools="")
    assert sorted(found) == ["p.more", "p.room", "p.room.a", "p.start"]


def test_what_lies_beside_a_script_is_followed_and_what_is_installed_is_not(
    reach: Plant, tmp_path: Path
) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "helper.py").write_text("import numpy")
    assert sorted(reach(start="import helper, numpy")) == ["helper", "p.start"]


def test_imports_in_a_circle_end(reach: Plant) -> None:
    assert sorted(reach(start="import p.a", a="import p.start")) == ["p.a", "p.start"]
