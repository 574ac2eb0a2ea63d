"""A new class is one file: found, listed and bound without an edit elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.model_cases import inputs, parameters_of

from theory_check.catalogue import Catalogue, installed
from theory_check.runs.problem_table import bound_problem

# The example of CONTRIBUTING.md.
CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"


def example() -> str:
    """Return the first Python block of the section on classes."""
    section = CONTRIBUTING.read_text(encoding="utf-8").split("## A reward or policy class\n")[1]
    return section.split("```python\n")[1].split("```")[0]


@pytest.fixture
def study(tmp_path: Path) -> Catalogue:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "state_reward.py").write_text(example(), encoding="utf-8")
    return Catalogue.shipped().with_folder(tmp_path)


def test_the_classes_of_the_package_are_found() -> None:
    assert list(installed().rewards) == ["linear", "mlp"]
    assert list(installed().policies) == ["log-linear", "mlp", "tabular"]


@pytest.mark.slow
def test_the_example_of_the_guide_is_a_class(study: Catalogue) -> None:
    assert "state" in study.rewards
    table = {
        "family": "bandit",
        "contexts": 3,
        "actions": 2,
        "reward": {"name": "state", "scale": 2},
    }
    _, parameters, function = bound_problem(table, "problems.p", study)
    model = function(**parameters).reward_model
    assert model.parameters == 3


def test_the_example_of_the_guide_keeps_the_contract(study: Catalogue) -> None:
    model = study.rewards["state"]().bind(inputs())
    leaf = parameters_of(model, 3).requires_grad_()
    table = model.table(leaf)
    assert table.shape == (3, 4, 3)
    cotangent = torch.arange(36.0, dtype=torch.float64).reshape(3, 4, 3).cos()
    (expected,) = torch.autograd.grad((table * cotangent).sum(), leaf)
    torch.testing.assert_close(model.pullback(leaf.detach(), cotangent), expected)
