"""What makes a stored cell out of date: a change of the code that it can reach, and nothing else.

Keys are those of the small cells of all experiments, on a copy of the source; and the functions that
cells of every kind run in a process of their own are in files that they are said to reach.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers.experiments import FILES, experiment_in
from helpers.fresh import printed_by

from theory_check import models, problems, solvers
from theory_check.catalogue import Catalogue, installed
from theory_check.errors import InvalidArgumentError
from theory_check.measurements.solver_run import SolverRun
from theory_check.models import MLPReward
from theory_check.problems.spec import ProblemSpec
from theory_check.runs import Cell, spec
from theory_check.runs.identity import PACKAGE, sources_of

ROOT = Path(__file__).resolve().parents[2]
Keys = Callable[[], list[str]]


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    """Small cells of the experiments, and of the comparisons with every method.

    Of those that reach the same files the first: keys of the others change with its own.
    """
    found: dict[tuple[str, ...], Cell] = {}
    for path in FILES:
        for cell in experiment_in(path).quick:
            found.setdefault(tuple(cell.sources), cell)
    return list(found.values())


@pytest.fixture
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the source, at one place, so that a file that is as it was is not parsed again."""
    copy = tmp_path_factory.getbasetemp() / "copied" / "theory_check"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "*.json"))
    yield copy
    shutil.rmtree(copy)


@pytest.fixture
def keys(cells: list[Cell], package: Path, monkeypatch: pytest.MonkeyPatch) -> Keys:
    """Return the keys that the cells have with the source as it is in the copy now."""
    monkeypatch.setattr(spec, "sources_of", partial(sources_of, package=package))
    return lambda: [replace(cell).key for cell in cells]


def changed(cells: list[Cell], before: list[str], after: list[str]) -> list[Cell]:
    found = [cell for cell, a, b in zip(cells, before, after, strict=True) if a != b]
    assert len(found) < len(cells)
    return found


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def method_of(cell: Cell) -> str | None:
    method = getattr(cell.measurement, "method", None)
    return None if method is None else str(method.id)


@pytest.mark.slow
def test_a_new_file_changes_no_key(package: Path, keys: Keys) -> None:
    before = keys()
    shutil.copy(package / "solvers" / "parl.py", package / "solvers" / "parl_again.py")
    shutil.copy(package / "problems" / "garnet.py", package / "problems" / "garnet_again.py")
    for room, line in (
        ("solvers", "parl_again import PARL"),
        ("problems", "garnet_again import x"),
    ):
        init = package / room / "__init__.py"
        new = f"import sys\nfrom theory_check.{room}.{line} as again\n"
        init.write_text(init.read_text().replace("import sys\n", new, 1))
    assert keys() == before


@pytest.mark.slow
def test_an_edited_solver_changes_the_keys_of_its_cells_alone(
    cells: list[Cell], package: Path, keys: Keys
) -> None:
    before = keys()
    append(package / "solvers" / "parl.py", "\nHALF = 0.5\n")
    found = changed(cells, before, keys())
    assert found == [cell for cell in cells if method_of(cell) == "parl"] != []


@pytest.mark.slow
def test_docstrings_and_comments_change_no_key(package: Path, keys: Keys) -> None:
    before = keys()
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        text = text.replace('"""', '"""Anew, ', 1) if text.startswith('"""') else text
        path.write_text(f"# A comment.\n\n{text}\n# Another.\n", encoding="utf-8")
    assert keys() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kernel", "families"),
    [("zero_chain", {"zero_chain"}), ("hard_instance", {"plateau", "valley"})],
)
def test_an_edited_kernel_changes_the_keys_of_the_cells_that_reach_it(
    kernel: str,
    families: set[str],
    cells: list[Cell],
    package: Path,
    keys: Keys,
) -> None:
    before = keys()
    append(package / "kernels" / f"{kernel}.py", "\nSHIFT = 1\n")
    found = changed(cells, before, keys())
    of_the_family = [cell for cell in cells if cell.problem.family in families]
    assert of_the_family
    assert set(map(str, of_the_family)) <= set(map(str, found))
    # Others reach it where their measurement names the class of these problems.
    kinds = {cell.measurement.kind for cell in found if cell.problem.family not in families}
    assert kinds <= {"attained", "lower-bound"}


@pytest.mark.slow
def test_an_edited_sampler_leaves_exact_cells_as_they_are(
    cells: list[Cell], package: Path, keys: Keys
) -> None:
    before = keys()
    append(package / "kernels" / "draws.py", "\nSHIFT = 1\n")
    kinds = {cell.measurement.kind for cell in changed(cells, before, keys())}
    assert {"gradient-noise", "comparison", "solver-run"} <= kinds
    assert not kinds & {"penalty-bias", "penalty-smoothness", "inner-sublinear", "lower-bound"}


SOLVER = """\
from dataclasses import dataclass
from typing import ClassVar

from theory_check.solvers.penalty_bilevel import PenaltyBilevel

from .halves import HALF
from .. import notes


@dataclass(frozen=True)
class Mine(PenaltyBilevel):
    name: ClassVar[str] = "mine"
"""


def test_an_edited_file_of_a_study_changes_the_keys_of_its_cells(tmp_path: Path) -> None:
    study = tmp_path / "study"
    (study / "solvers").mkdir(parents=True)
    (study / "solvers" / "mine.py").write_text(SOLVER)
    (study / "solvers" / "halves.py").write_text("HALF = 0.5\n")
    (study / "notes.py").write_text("N = 1\n")
    solver = Catalogue.shipped().with_folder(study).solvers["mine"]
    settings = {"sigma": 0.1, "inner_steps": 1, "inner_step_size": 0.1, "step_size": 0.1}

    def cell(kind: type[Any]) -> Cell:
        built = kind(**settings, trajectories=2, pairs=2)
        return Cell(
            "e", "l", (), SolverRun(built, 2), ProblemSpec("bandit", {}, problems.bandit), 2
        )

    first = cell(solver)
    names = {name for name in first.sources if name.startswith("study/")}
    assert names == {"study/notes.py", "study/solvers/halves.py", "study/solvers/mine.py"}
    assert "solvers/penalty_bilevel.py" in first.sources
    known, shipped = {first.key}, cell(solvers.PenaltyBilevel).key
    for name, text in (("solvers/mine", "X = 1"), ("solvers/halves", "Y = 1"), ("notes", "Z = 1")):
        append(study / f"{name}.py", f"{text}\n")
        # What was imported before is not what the files say now, and is refused.
        with pytest.raises(InvalidArgumentError, match="changed since it was imported"):
            _ = cell(solver).key
        solver = Catalogue.shipped().with_folder(study).solvers["mine"]
        known.add(cell(solver).key)
    assert len(known) == 4
    assert cell(solvers.PenaltyBilevel).key == shipped


def test_a_file_that_lies_outside_its_package_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "outside.py"
    file.write_text(SOLVER.replace("from .halves", "from .parl").replace("HALF", "METHOD"))
    file.write_text(file.read_text().replace("from .. import notes\n", ""))
    monkeypatch.setattr(solvers, "__path__", [*solvers.__path__, str(tmp_path)])
    name = "theory_check.solvers.outside"
    monkeypatch.setitem(sys.modules, name, None)  # so that it is forgotten afterwards
    del sys.modules[name]
    built = importlib.import_module(name).Mine(0.1, 1, 0.1, 0.1, 2, 2)
    cell = Cell("e", "l", (), SolverRun(built, 2), ProblemSpec("bandit", {}, problems.bandit), 2)
    assert {"theory_check/solvers/outside.py", "solvers/parl.py"} <= cell.sources.keys()
    append(file, "X = 1\n")
    assert replace(cell).key != cell.key


def test_the_classes_of_a_problem_are_reached(cells: list[Cell]) -> None:
    cell = next(cell for cell in cells if not cell.problem.parameters.get("reward"))
    assert "models/mlp_reward.py" not in cell.sources
    parameters = {**cell.problem.parameters, "reward": MLPReward()}
    other = replace(cell, problem=replace(cell.problem, parameters=parameters))
    assert {"models/mlp_reward.py", "models/stacked_mlp.py"} <= other.sources.keys()


@pytest.mark.slow
def test_nothing_above_the_cells_is_reached(cells: list[Cell]) -> None:
    rooms = {name.partition("/")[0] for cell in cells for name in cell.sources}
    assert not rooms & {"claims", "analysis", "plotting", "worst_cases", "cli", "studies", "report"}


def test_all_components_are_passed_on_by_their_rooms() -> None:
    registry = installed()
    for room, found in (
        (solvers, registry.solvers.values()),
        (models, [*registry.rewards.values(), *registry.policies.values()]),
        (problems, registry.families.values()),
    ):
        for component in found:
            name = component.__name__
            init = Path(str(room.__file__)).read_text(encoding="utf-8")
            assert getattr(room, name) is component, f"add {name} to {room.__name__}"
            assert name in room.__all__
            assert f"from {component.__module__} import" in init


# Seeds and sizes of a cell are in its specification.
WITHOUT_NUMBERS = frozenset({"runs/spec.py", "runs/progress.py"})


@pytest.mark.slow
def test_all_code_that_a_cell_runs_is_reached(tmp_path: Path) -> None:
    printed = printed_by(Path(__file__).with_name("observed_cells.py"), folder=tmp_path)
    found = [json.loads(line) for line in printed.splitlines()]
    assert len({each["kind"] for each in found}) >= 12
    ran = {file for each in found for file in each["ran"]}
    # What no import leads to is among what was watched.
    assert {"solvers/hpgd.py", "solvers/parl.py", "oracles/rlhf_instruments.py"} <= ran
    for each in found:
        assert each["message"] == "", each["cell"]
        assert len(each["ran"]) >= 5
        unknown = set(each["ran"]) - set(each["reached"]) - WITHOUT_NUMBERS
        assert unknown == set(), each["cell"]
