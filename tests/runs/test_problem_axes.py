"""Grids whose axes are parameters of the problems."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from theory_check.errors import InvalidArgumentError
from theory_check.problems import bandit
from theory_check.runs import Experiment, Store, execute, load_experiment, load_table
from theory_check.runs.own_problem import given_problem
from theory_check.runs.tables import column_meanings

FILE = """\
measurement = "penalty-bias"
description = "A family and a fixed problem at two KL weights."
seeds = 3

[settings]
sigmas = [0.1, 0.05]

[grid.problem]
kl_weight = [1.0, 0.5]

[problems.fixed]
family = "bandit"
contexts = 2
actions = 2
features = 2
kl_weight = 7.0

[problems.drawn]
family = "bandit"
contexts = 2
actions = 2
features = 2
instances = 2
starts = 1

[quick]
seeds = 2
grid.problem = { kl_weight = [0.25] }
"""

Load = Callable[..., Experiment]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def loaded(*changes: tuple[str, str], **options: object) -> Experiment:
        content = FILE
        for old, new in changes:
            assert old in content
            content = content.replace(old, new, 1)
        path = tmp_path / "varied.toml"
        path.write_text(content)
        return load_experiment(path, **options)  # type: ignore[arg-type]

    return loaded


def test_every_combination_has_its_own_problem_and_shares_its_seeds(load: Load) -> None:
    cells = load().cells()
    assert [str(cell) for cell in cells] == [
        f"varied/{label} problem.kl_weight={weight}"
        for weight in (1.0, 0.5)
        for label in ("fixed", "drawn instance=0", "drawn instance=1")
    ]
    # What the table sets gives way to the axis.
    assert [cell.problem.build().kl_weight for cell in cells] == [1.0] * 3 + [0.5] * 3
    assert len({cell.key for cell in cells}) == len(cells)
    for label in ("fixed", "drawn"):
        alike = [cell for cell in cells if cell.label == label and cell.instance in (None, 0)]
        assert len({cell.first_seed for cell in alike}) == 1
    first, second = (cells[at].problem.build().true_reward for at in (1, 4))
    assert bool((first == second).all())
    assert {cell.sizes for cell in cells if cell.instance is not None} == {
        "bandit instances (contexts 2, actions 2, features 2)"
    }
    quick = load().cells(quick=True)
    assert {cell.problem.parameters["kl_weight"] for cell in quick} == {0.25}


def test_the_table_has_a_column_for_the_axis(load: Load, tmp_path: Path) -> None:
    experiment, store = load(), Store(tmp_path / "store")
    execute(experiment.cells(), store)
    table = load_table(experiment, store)
    assert set(table["problem.kl_weight"]) == {1.0, 0.5}
    counted = table.groupby(["problem", "problem.kl_weight"])["seed"].nunique()
    assert counted[("drawn", 0.5)] == 2
    assert counted[("fixed", 1.0)] == 3
    meanings = column_meanings(experiment.cells())
    assert meanings["problem.kl_weight"] == "parameter kl_weight of the problem"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("kl_weight = [1.0, 0.5]", "kl_wait = [1.0, 0.5]"),
            "grid.problem.kl_wait: received an unknown key; did you mean 'kl_weight'?",
        ),
        (
            ("kl_weight = [1.0, 0.5]", "kl_weight = [1.0, -0.5]"),
            "grid.problem.kl_weight: received -0.5; pass",
        ),
        (
            ("kl_weight = [0.25]", "kl_weight = [0.0]"),
            "quick.grid.problem.kl_weight: received 0.0; pass",
        ),
        (
            ("kl_weight = [1.0, 0.5]", "kl_weight = []"),
            "grid.problem.kl_weight: received []; pass a list of at least one value",
        ),
        (
            ("kl_weight = [1.0, 0.5]", "kl_weight = [0.5, 0.5]"),
            "grid.problem.kl_weight: received 0.5 twice; list every value once",
        ),
        (("contexts = 2", "contexts = 0"), "problems.fixed.contexts: received 0; pass"),
        (("[grid.problem]", "[grid.problems]"), "grid.problems.kl_weight: received an unknown key"),
    ],
)
def test_mistakes_name_the_key(load: Load, change: tuple[str, str], message: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        load(change)
    assert message in str(caught.value)


def test_a_problem_of_ones_own_is_not_varied(load: Load) -> None:
    own = given_problem(bandit(contexts=2, actions=2, features=2))
    with pytest.raises(InvalidArgumentError, match="whose grid varies kl_weight of its problems"):
        load(problem=own)
