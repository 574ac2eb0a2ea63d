"""A new class is one file: found and bound without an edit elsewhere."""

from __future__ import annotations

from pathlib import Path

from helpers.worked_examples import write_study

from theory_check.catalogue import Catalogue, installed
from theory_check.runs.problem_table import bound_problem
from theory_check.testing import check_class, failures


def test_the_classes_of_the_package_are_found() -> None:
    assert list(installed().rewards) == ["linear", "mlp", "transformer"]
    assert list(installed().policies) == ["log-linear", "mlp", "tabular", "transformer"]


def test_the_example_of_the_guide_is_a_class(tmp_path: Path) -> None:
    found = Catalogue.shipped().with_folder(write_study(tmp_path))
    table = {
        "family": "bandit",
        "contexts": 3,
        "actions": 2,
        "reward": {"name": "state", "scale": 2},
    }
    spec = bound_problem(table, "problems.p", found)
    assert spec.build().reward_model.parameters == 3
    assert failures(check_class(found.rewards["state"])) == ()
