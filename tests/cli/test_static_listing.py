"""What is read from files agrees with what is imported, and what cannot be read is imported."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from theory_check.catalogue import PACKAGE, Catalogue
from theory_check.errors import DuplicateNameError
from theory_check.report.contents import text_listing
from theory_check.report.listing import SECTIONS, listing
from theory_check.report.static_source import Reader, Unread

SOLVER = """\
from dataclasses import dataclass, replace
from typing import ClassVar

import theory_check.solvers.method as described
from theory_check.solvers.exact_hypergradient import METHOD as EXACT
from theory_check.solvers.exact_hypergradient import ExactHypergradient


@dataclass(frozen=True)
class Mine(ExactHypergradient):
    \"\"\"Descend.

    In small steps.
    \"\"\"

    name: ClassVar[str] = NAME


METHOD = replace(EXACT, id="mine", title="my own", solver=Mine, rate=None)
OTHER = described.Method(
    "other",
    "my other",
    Mine,
    EXACT.constants,
    EXACT.plan,
    described.StatedRate(1.5, "samples", "here", "R"),
)
"""

VALUES = """\
from theory_check.claims.base import CONTROLS

LARGE, SMALL = 0.3, 1e-05
SIGMAS = (LARGE, 0.1, SMALL)
TEXT = f"{SIGMAS[-1]:g} to {SIGMAS[0]:g}, {-1}"
FAR = CONTROLS
COMPUTED = LARGE + SMALL
LOOP = LOOP
"""

PROGRAM = """\
import sys
from theory_check.cli import main
try:
    main(sys.argv[1:])
finally:
    heavy = {"torch", "numpy", "pandas", "numba", "scipy"} & sys.modules.keys()
    print(*sorted(heavy), file=sys.stderr)
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "solvers").mkdir()
    return tmp_path


def read(study: Path) -> Catalogue:
    return Catalogue.shipped().with_folder(study)


@pytest.mark.slow
def test_what_is_read_is_what_the_shipped_components_say() -> None:
    catalogue = Catalogue.shipped()
    found = listing(catalogue)
    for section in SECTIONS:
        imported = {name: section.line(each) for name, each in section.imported(catalogue).items()}
        assert imported
        assert found.sections[section.title] == imported
        assert section.title not in found.imported
    assert found.failures == {}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "imported"), [('"mine"', False), ('"".join("mine")', True)])
def test_a_study_is_read_and_where_that_fails_imported(
    study: Path, name: str, imported: bool
) -> None:
    (study / "solvers" / "mine.py").write_text(SOLVER.replace("NAME", name))
    found = listing(read(study))
    assert found.sections["solvers"]["mine"] == "Descend."
    assert found.sections["methods"]["mine"] == "my own: exact, no stated rate"
    rate = "epsilon^-1.5 samples [R] (here)"
    assert found.sections["methods"]["other"] == f"my other: exact, {rate}"
    assert found.imported == (["solvers"] if imported else [])
    assert found.failures == {}


def test_a_file_that_has_to_be_imported_and_cannot_be_is_named(study: Path) -> None:
    text = SOLVER.replace("NAME", "absent.lower()")
    (study / "solvers" / "mine.py").write_text(text)
    found = listing(read(study))
    assert "exact-hypergradient" in found.sections["solvers"]
    reason = "NameError: name 'absent' is not defined"
    assert found.failures == {(study / "solvers" / "mine.py").as_posix(): reason}


@pytest.mark.slow
def test_files_that_make_no_sense_do_not_hide_the_others(study: Path) -> None:
    (study / "solvers" / "good.py").write_text(SOLVER.replace("NAME", '"mine"'))
    files = []
    for number, line in enumerate(
        (
            "class A(B): pass\nclass B(A): name = 'a'",
            "METHOD = described.Method(id='mine', title='mine', solver=Mine, rate='none')",
            "METHOD = described.Method(id='mine', title='mine', solver=Mine, rate=Mine.absent)",
            "METHOD = described.Method(id=[1][2], title='mine')",
            "METHOD = unknown(id='mine')",
            "METHOD = described.Method(*described, id='mine')",
        )
    ):
        odd = SOLVER.partition("METHOD =")[0].replace("NAME", f'"odd-{number}"') + line
        files.append(study / "solvers" / f"odd{number}.py")
        files[-1].write_text(odd.replace("Mine", f"Odd{number}"))
    found = listing(read(study))
    assert found.sections["methods"]["mine"] == "my own: exact, no stated rate"
    assert sorted(found.failures) == [file.as_posix() for file in files]


def test_values_are_read_where_they_are_written_out(tmp_path: Path) -> None:
    (tmp_path / "values.py").write_text(VALUES)
    package = PACKAGE
    module = Reader({"theory_check": package, "mine": tmp_path}).module("mine.values")
    assert module is not None
    assert module.get("SIGMAS") == (0.3, 0.1, 1e-5)
    assert module.get("TEXT") == "1e-05 to 0.3, -1"
    assert module.get("FAR") == ("violated", "faster")
    for name in ("COMPUTED", "LOOP", "absent"):
        with pytest.raises(Unread):
            module.get(name)


def test_two_of_one_name_are_refused(study: Path) -> None:
    for name in ("first", "second"):
        (study / "solvers" / f"{name}.py").write_text(SOLVER.replace("NAME", '"mine"'))
    with pytest.raises(DuplicateNameError, match=r"first and .*second both define 'mine'"):
        listing(read(study))


@pytest.mark.slow
def test_what_is_no_python_and_no_experiment_is_named(study: Path) -> None:
    (study / "solvers" / "broken.py").write_text("def (")
    (study / "solvers" / "mine.py").write_text(SOLVER.replace("NAME", '"mine"'))
    (study / "problems" / "instances").mkdir(parents=True)
    (study / "problems" / "instances" / "odd.json").write_text(json.dumps({"format": 1}))
    (study / "experiments").mkdir()
    (study / "experiments" / "good.toml").write_text('description = "It is."')
    (study / "experiments" / "bad.toml").write_text("description = ")
    listed = text_listing(read(study), width=400) + "\n"
    assert "\n  mine " in listed
    assert f"experiments of {study.as_posix()}/:\n  good  It is.\n" in listed
    _, unread = listed.split("files that cannot be read:\n")
    places = [line.split(": ")[0].rpartition("/")[2] for line in unread.splitlines()]
    assert set(places) == {"broken.py", "odd.json", "bad.toml"}


def processor_time(*words: str) -> float:
    """Return the seconds that a Python program takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stderr.strip() == ""
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.slow
@pytest.mark.parametrize(("words", "limit"), [("--help", 2.0), ("--version", 2.0), ("list", 8.0)])
def test_it_comes_at_once(words: str, limit: float) -> None:
    """Processor time over that of importing numpy, in turn, the least of three of each.

    The first may compile the files, and machines differ. Importing torch alone takes more than ten;
    ``list`` takes 5, and parses one file for each component.
    """
    spent, unit = [], []
    for _ in range(3):
        spent.append(processor_time("-c", PROGRAM, words))
        unit.append(processor_time("-c", "import numpy"))
    assert min(spent) < limit * min(unit), (spent, unit)
