"""What ``--shapes`` enforces and which tests it keeps, each against a planted mistake."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.model_cases import CLASSES, inputs
from helpers.shapes import FOLDERS, HOOKED, KEPT, TESTS, has_shapes, kept
from jaxtyping import TypeCheckError

from theory_check.analysis.intervals import mean_interval
from theory_check.catalogue import installed
from theory_check.models import Linear
from theory_check.oracles.numerics import GradientParts
from theory_check.problems import quadratic
from theory_check.recording.accuracy import RunningMeans
from theory_check.solvers.states import PenaltyState

# Called with one dimension too few or too many, a call of each room.
MISTAKES: dict[str, Callable[[Any], Any]] = {
    "analysis": lambda flat: mean_interval(np.zeros((2, 2))),
    "models": lambda flat: Linear().bind(inputs()).table(flat),
    "oracles": lambda flat: GradientParts(flat, flat, 1.0),
    "problems": lambda flat: quadratic().hypergradient(flat),
    "recording": lambda flat: RunningMeans(2).add(np.zeros((2, 2))),
    "solvers": lambda flat: PenaltyState.start(flat, flat),
}


@pytest.mark.only_with_shapes
@pytest.mark.parametrize("room", HOOKED)
def test_a_planted_wrong_shape_is_refused(room: str) -> None:
    with pytest.raises(TypeCheckError):
        MISTAKES[room](torch.zeros(5, dtype=torch.float64))


@pytest.mark.only_with_shapes
@pytest.mark.parametrize("room", HOOKED)
def test_every_module_of_the_room_was_imported_with_its_annotations_enforced(room: str) -> None:
    """All of them, imported here at the latest: one that was imported before would show."""
    package = importlib.import_module(f"theory_check.{room}")
    below = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    modules = [package, *(importlib.import_module(each.name) for each in below)]
    assert len(modules) > 3
    for module in modules:
        assert type(module.__loader__).__module__.startswith("jaxtyping"), module.__name__


def cases(config: pytest.Config, folder: str, test: str) -> list[Any]:
    """Return the parameters of the cases of a test that run, whatever -k leaves of them."""
    return [
        item.callspec.params
        for item in config.stash[KEPT]
        if item.path.parent == TESTS / folder
        and getattr(item, "originalname", "") == test
        and isinstance(item, pytest.Function)
        and hasattr(item, "callspec")
    ]


@pytest.mark.only_with_shapes
def test_every_component_and_every_room_is_checked(pytestconfig: pytest.Config) -> None:
    if [Path(named).resolve() for named in pytestconfig.args] != [TESTS]:
        pytest.skip("tests of some folders were named; all of them are meant")
    contract = "test_it_keeps_the_contract"
    # A run of each, where the contract would be a dozen.
    runs = cases(pytestconfig, "solvers", "test_a_replicate_alone_equals_itself_in_a_batch")
    methods = {each["method"].id for each in runs}
    assert methods == set(installed().methods)
    classes = {type(each["chosen"]) for each in cases(pytestconfig, "models", contract)}
    assert classes == set(CLASSES)
    families = {each["name"] for each in cases(pytestconfig, "problems", contract)}
    assert families == set(installed().families)
    folders = {item.path.relative_to(TESTS).parts[0] for item in pytestconfig.stash[KEPT]}
    assert folders == {*FOLDERS, "test_shapes.py"}


def test_every_hooked_room_has_a_planted_mistake_and_tests() -> None:
    assert MISTAKES.keys() == set(HOOKED) <= set(FOLDERS)
    assert all(has_shapes(path) for path in (TESTS, TESTS / "oracles" / "test_exact_oracle.py"))
    assert not has_shapes(TESTS / "cli")


def item(path: str, name: str, *marks: str) -> Any:
    return SimpleNamespace(
        path=TESTS / path,
        originalname=name.partition("[")[0],
        name=name,
        get_closest_marker=lambda mark: mark in marks,
    )


def test_of_each_test_the_first_case_is_kept_and_of_contracts_all() -> None:
    items = [
        item("oracles/test_one.py", "test_a[1]"),
        item("oracles/test_one.py", "test_a[2]"),
        item("oracles/test_two.py", "test_a[2]"),
        item("oracles/test_one.py", "test_b"),
        item("oracles/test_one.py", "test_c", "slow"),
        item("problems/test_one.py", "test_d[1]", "slow", "every_case"),
        item("problems/test_one.py", "test_d[2]", "slow", "every_case"),
        item("measurements/test_one.py", "test_a"),
        item("measurements/test_one.py", "test_b", "every_case"),
        item("test_shapes.py", "test_a", "only_with_shapes"),
        item("test_shapes.py", "test_b"),
    ]
    assert [items.index(each) for each in kept(items)] == [0, 2, 3, 5, 6, 8, 9]
