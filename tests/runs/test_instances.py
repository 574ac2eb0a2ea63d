"""Experiment files whose problems are families: one cell per instance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from theory_check.catalogue import Catalogue
from theory_check.errors import InvalidArgumentError
from theory_check.runs import Experiment, Store, execute, load_experiment, load_table
from theory_check.studies.verification import RunOptions, sweep

FILE = """\
measurement = "penalty-bias"
description = "A family beside a fixed problem."
seeds = 3

[settings]
sigmas = [0.1, 0.05, 0.02, 0.01]

[problems.fixed]
family = "bandit"
contexts = 2
actions = 2
features = 2

[problems.drawn]
family = "bandit"
contexts = 2
actions = 2
features = 2
kl_weight = 0.5
instances = 4
starts = 2

[quick]
instances = 2
seeds = 2
"""

Load = Callable[..., Experiment]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def loaded(*changes: tuple[str, str]) -> Experiment:
        content = FILE
        for old, new in changes:
            assert old in content
            content = content.replace(old, new, 1)
        path = tmp_path / "families.toml"
        path.write_text(content)
        return load_experiment(path)

    return loaded


def test_one_cell_per_instance_each_with_its_own_problem_and_seeds(load: Load) -> None:
    cells = load().cells()
    assert [str(cell) for cell in cells] == [
        "families/fixed",
        *(f"families/drawn instance={number}" for number in range(4)),
    ]
    fixed, *drawn = cells
    assert (fixed.instance, fixed.seeds, fixed.problem.parameters["seed"]) == (None, 3, 0)
    assert [cell.problem.parameters["seed"] for cell in drawn] == [0, 1, 2, 3]
    assert {cell.seeds for cell in drawn} == {2}
    assert len({cell.first_seed for cell in cells}) == 5
    assert {cell.sizes for cell in drawn} == {
        "bandit instances (contexts 2, actions 2, features 2, kl weight 0.5)"
    }
    rewards = [cell.problem.build().true_reward for cell in drawn]
    assert not any(np.allclose(rewards[0], other) for other in rewards[1:])


def test_quick_takes_the_first_instances(load: Load) -> None:
    experiment = load()
    quick = experiment.cells(quick=True)
    assert [cell.instance for cell in quick] == [None, 0, 1]
    assert [cell.seeds for cell in quick] == [2, 2, 2]
    assert {cell.key for cell in quick if cell.instance is not None} < {
        cell.key for cell in experiment.cells()
    }


@pytest.mark.slow
def test_the_table_numbers_the_instances(load: Load, tmp_path: Path) -> None:
    experiment, store = load(), Store(tmp_path / "store")
    assert str(execute(experiment.cells(), store)) == "5 cells: 5 run, 0 reused, 0 failed"
    table = load_table(experiment, store)
    assert list(table.columns[:3]) == ["seed", "problem", "instance"]
    counted = table.groupby(["problem", "instance"], dropna=False)["seed"].nunique()
    assert counted[("drawn", 2)] == 2
    assert table.loc[table["problem"] == "fixed", "instance"].isna().all()
    assert sorted(table["instance"].dropna().unique()) == [0, 1, 2, 3]
    # One and the same seed on two instances would be a start of both.
    owners = table.groupby("seed").apply(
        lambda rows: len(rows[["problem", "instance"]].drop_duplicates()), include_groups=False
    )
    assert (owners == 1).all()
    assert isinstance(table["instance"].dtype, pd.Int64Dtype)


def test_without_families_there_is_no_such_column(load: Load, tmp_path: Path) -> None:
    content = FILE[: FILE.index("[problems.drawn]")]
    path = tmp_path / "fixed.toml"
    path.write_text(content)
    experiment, store = load_experiment(path), Store(tmp_path / "store")
    execute(experiment.cells(), store)
    assert "instance" not in load_table(experiment, store)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("instances = 4\n", ""), "problems.drawn.instances: received nothing; set instances and"),
        (("starts = 2\n", ""), "problems.drawn.starts: received nothing; set instances and starts"),
        (
            ("instances = 4", "instances = 1"),
            "problems.drawn.instances: received 1; pass at least 2",
        ),
        (("instances = 4", "instances = 0"), "problems.drawn.instances: received 0; pass an int"),
        (("starts = 2", "starts = true"), "problems.drawn.starts: received True; pass an integer"),
        (("starts = 2", "starts = 2\nseed = 1"), "problems.drawn.seed: received 1; leave it out"),
        (
            ("kl_weight = 0.5", "kl_wait = 0.5"),
            "problems.drawn.kl_wait: received an unknown key; did you mean 'kl_weight'?",
        ),
        (("[quick]\ninstances = 2", "[quick]\ninstances = 1"), "quick.instances: received 1; pass"),
    ],
)
def test_mistakes_name_the_key(load: Load, change: tuple[str, str], message: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        load(change)
    assert message in str(caught.value)


def test_a_family_that_draws_nothing_has_no_instances(load: Load) -> None:
    drawn = 'family = "bandit"\ncontexts = 2\nactions = 2\nfeatures = 2\nkl_weight = 0.5'
    with pytest.raises(InvalidArgumentError, match="family 'chain' draws nothing at random"):
        load((drawn, 'family = "chain"\nstates = 3\nhorizon = 2'))


@pytest.mark.slow
def test_a_family_is_judged_over_its_instances_and_never_by_the_audit_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instance 0 has the parameters of a problem that is audited, the others have not."""
    claim = Catalogue.shipped().claim("penalty-bias")
    done = sweep(["penalty-bias"], RunOptions(tmp_path, quick=True))
    judged = done.judge(claim)
    assert judged.verdict is not None
    families = [rate for rate in judged.verdict.rates if rate.problem == "bandit-family"]
    assert len(families) == 2
    for rate in families:
        assert rate.population == (
            "8 random bandit instances (contexts 4, actions 3, features 4), 2 random starts each"
        )
        assert set(rate.spread) == {"between instances", "between starts"}
    wanted = next(
        cell
        for cell in done.experiments["penalty-bias"].cells(True)
        if cell.label == "bandit-family"
    )
    audited = load_experiment(Path(__file__).parents[2] / "experiments" / "audits.toml")
    with_audits = sweep([], RunOptions(tmp_path, quick=True))
    monkeypatch.setitem(with_audits.experiments, "audits", audited)  # type: ignore[arg-type]

    assert with_audits._evidence(Catalogue.shipped().audit("lower-pl"), wanted) == []
