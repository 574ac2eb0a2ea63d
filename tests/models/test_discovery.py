"""A new class is one file: found, listed and bound without an edit elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from helpers.model_cases import inputs, parameters_of

from theory_check import models
from theory_check.catalogue import Catalogue
from theory_check.models import policy_classes, reward_classes
from theory_check.runs.problem_table import bound_problem

# The example of CONTRIBUTING.md.
CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"


def example() -> str:
    """Return the first Python block of the section on classes."""
    section = CONTRIBUTING.read_text(encoding="utf-8").split("## A reward or policy class\n")[1]
    return section.split("```python\n")[1].split("```")[0]


@pytest.fixture
def new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state_reward.py").write_text(example(), encoding="utf-8")
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path)])
    name = "theory_check.models.state_reward"
    monkeypatch.setitem(sys.modules, name, None)  # so that it is forgotten afterwards
    del sys.modules[name]


def test_the_classes_of_the_package_are_found() -> None:
    assert list(reward_classes()) == ["linear", "mlp"]
    assert list(policy_classes()) == ["log-linear", "mlp", "tabular"]


@pytest.mark.slow
@pytest.mark.usefixtures("new_file")
def test_the_example_of_the_guide_is_a_class() -> None:
    assert "state" in reward_classes()
    table = {
        "family": "bandit",
        "contexts": 3,
        "actions": 2,
        "reward": {"name": "state", "scale": 2},
    }
    _, parameters, function = bound_problem(table, "problems.p", Catalogue.shipped())
    model = function(**parameters).reward_model
    assert model.parameters == 3


@pytest.mark.usefixtures("new_file")
def test_the_example_of_the_guide_keeps_the_contract() -> None:
    model = reward_classes()["state"]().bind(inputs())
    leaf = parameters_of(model, 3).requires_grad_()
    table = model.table(leaf)
    assert table.shape == (3, 4, 3)
    cotangent = torch.arange(36.0, dtype=torch.float64).reshape(3, 4, 3).cos()
    (expected,) = torch.autograd.grad((table * cotangent).sum(), leaf)
    torch.testing.assert_close(model.pullback(leaf.detach(), cotangent), expected)
