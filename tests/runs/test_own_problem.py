from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
import torch

from theory_check.catalogue import Catalogue
from theory_check.catalogue.catalogue import experiment_file
from theory_check.errors import InvalidArgumentError
from theory_check.models import LogLinear, MLPReward
from theory_check.problems import BradleyTerry, Problem, Thurstone, bandit, garnet, quartic
from theory_check.problems.stored import content_digest
from theory_check.runs import Cell, Store, execute, load_experiment
from theory_check.runs.own_problem import OwnProblem, given_problem
from theory_check.studies.named import named_problem
from theory_check.studies.verification import Results, RunOptions, evidence_for, sweep, verify

CATALOGUE = Catalogue.shipped()
# As experiments/penalty-bias.toml states its problem "bandit".
BANDIT = replace(bandit(contexts=4, actions=3, features=4), name="bandit")

MINE = """\
measurement = "penalty-smoothness"
description = "A file that measures something else."
seeds = 2

[settings]
sigmas = [0.1]

[problems.mine]
family = "bandit"
contexts = 2
actions = 3
kl_weight = 0.5
"""


def cells_on(problem: Problem | OwnProblem, quick: bool = True) -> tuple[Cell, ...]:
    own = given_problem(problem) if isinstance(problem, Problem) else problem
    file = experiment_file("penalty-bias", CATALOGUE)
    return load_experiment(file, CATALOGUE, problem=own).cells(quick)


def shipped_cell(quick: bool = True) -> Cell:
    experiment = load_experiment(experiment_file("penalty-bias", CATALOGUE), CATALOGUE)
    (found,) = (cell for cell in experiment.cells(quick) if cell.label == "bandit")
    return found


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Results:
    options = RunOptions(tmp_path_factory.mktemp("store"), quick=True, catalogue=CATALOGUE)
    own = given_problem(BANDIT)
    return sweep(evidence_for([CATALOGUE.claim("penalty-bias")], CATALOGUE, own), options, own)


@pytest.mark.slow
def test_only_the_claim_and_its_audits_are_run_on_the_problem(done: Results) -> None:
    # Both audits of the claim have their evidence in the same experiment: two cells, by its grid.
    assert list(done.experiments) == ["penalty-bias", "audits"]
    executed = [(cell.experiment, cell.label) for cell in done.report.executed]
    assert sorted(executed) == [*[("audits", "bandit")] * 2, ("penalty-bias", "bandit")]
    assert done.report.reused == done.report.failed == ()


@pytest.mark.slow
def test_the_numbers_and_the_verdict_are_those_of_the_shipped_problem(
    done: Results, tmp_path: Path
) -> None:
    claim = CATALOGUE.claim("penalty-bias")
    experiments = {}
    for name in ("penalty-bias", "audits"):
        loaded = load_experiment(experiment_file(name, CATALOGUE), CATALOGUE)
        of_bandit = tuple(cell for cell in loaded.quick if cell.label == "bandit")
        experiments[name] = replace(loaded, quick=of_bandit)
    cells = [cell for each in experiments.values() for cell in each.quick]
    options = RunOptions(tmp_path, quick=True, catalogue=CATALOGUE)
    shipped = Results(experiments, execute(cells, Store(tmp_path)), options)
    for name in experiments:
        pd.testing.assert_frame_equal(done.table(name), shipped.table(name), check_exact=True)
    found, expected = done.judge(claim).verdict, shipped.judge(claim).verdict
    assert found is not None
    assert expected is not None
    assert json.dumps(found.to_dict()) == json.dumps(expected.to_dict())
    assert found.status == "tight"
    assert {rate.problem for rate in found.rates} == {"bandit"}
    assert "not audited" not in {finding.status for finding in found.audits}


@pytest.mark.slow
def test_python_finds_the_stored_results_by_the_content(done: Results, tmp_path: Path) -> None:
    shutil.copytree(done.options.store, tmp_path / "store")
    before = {path.name for path in (tmp_path / "store").glob("*.parquet")}
    again = replace(BANDIT, transitions=BANDIT.transitions.clone())
    how = {"store": tmp_path / "store", "quick": True, "catalogue": CATALOGUE}
    assert verify("penalty-bias", problem=again, **how).status == "tight"
    assert {path.name for path in (tmp_path / "store").glob("*.parquet")} == before
    # A reward that differs in the last digits is another problem, whose every cell is run.
    changed = replace(BANDIT, true_reward=BANDIT.true_reward * (1 + 1e-9))
    assert verify("penalty-bias", problem=changed, **how).status == "tight"
    new = {path.name for path in (tmp_path / "store").glob("*.parquet")} - before
    assert len(new) == len(before) == 3


def test_the_law_of_labels_identifies_a_problem() -> None:
    laws = ["thurstone", {"name": "thurstone", "deviation": 2.0}, "bradley-terry"]
    keys = [cells_on(BANDIT.with_preferences(law))[0].key for law in laws]
    assert len(set(keys)) == 3
    assert keys[2] == cells_on(BANDIT)[0].key
    assert "preferences" not in given_problem(BANDIT).spec.parameters
    built = given_problem(BANDIT.with_preferences("thurstone")).spec.build()
    assert built.preferences == Thurstone()


def test_a_command_names_the_law_of_labels() -> None:
    laws = {
        '{ name = "bradley-terry", temperature = 2.0 }': BradleyTerry(temperature=2.0),
        "thurstone": Thurstone(),
    }
    arms = ["contexts=2", "actions=2"]
    for text, law in laws.items():
        settings = [*arms, f"preferences={text}"]
        assert named_problem("bandit", settings, CATALOGUE).spec.build().preferences == law
    with pytest.raises(InvalidArgumentError, match=r"^--set.preferences.name: received 'probit'"):
        named_problem("bandit", [*arms, "preferences=probit"], CATALOGUE)


def test_all_but_the_problem_is_as_the_experiment_says() -> None:
    for quick in (True, False):
        (own,), shipped = cells_on(BANDIT, quick), shipped_cell(quick)
        assert own.measurement == shipped.measurement
        assert own.replicates == shipped.replicates
        assert own.axes == shipped.axes
        assert own.instance is None


def test_a_problem_of_a_file_has_the_results_of_that_problem() -> None:
    own = named_problem("penalty-bias/bandit", [], CATALOGUE)
    assert [cell.key for cell in cells_on(own)] == [shipped_cell().key]
    # The same table under another label has other seeds.
    other = named_problem("bandit", ["contexts=4", "actions=3", "features=4"], CATALOGUE)
    assert [cell.key for cell in cells_on(other)] == [shipped_cell().key]
    assert [cell.key for cell in cells_on(replace(other, label="mine"))] != [shipped_cell().key]


def test_a_problem_of_ones_own_file_is_found(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text(MINE)
    own = named_problem(f"{file}/mine", [], CATALOGUE)
    (cell,) = cells_on(own)
    assert (cell.experiment, cell.label, cell.problem.family) == ("penalty-bias", "mine", "bandit")
    assert cell.problem.parameters["kl_weight"] == 0.5
    assert cell.seeds == shipped_cell().seeds
    assert own.spec.build().states == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"kl_weight": 0.5},
        {"objective": "excess_risk"},
        {"initial": torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)},
        {"true_reward": BANDIT.true_reward + 1e-12},
        {"features": -BANDIT.features},
        {"observations": 2 * BANDIT.observations},
        {"reward_class": MLPReward(width=3)},
        {"policy_class": LogLinear()},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_another_content_is_another_cell(changed: dict[str, object]) -> None:
    keys = {cell.key for cell in cells_on(replace(BANDIT, **changed))}  # type: ignore[arg-type]
    assert keys.isdisjoint(cell.key for cell in cells_on(BANDIT))


def test_the_content_counts_and_not_the_name() -> None:
    assert content_digest(BANDIT) == content_digest(replace(BANDIT, name="another"))
    # Arrays of the same bytes in other shapes are told apart: 2 x 3 against 3 x 2 rewards.
    shapes = [bandit(contexts=2, actions=3), bandit(contexts=3, actions=2)]
    assert len({content_digest(each) for each in shapes}) == 2
    widths = [replace(BANDIT, reward_class=MLPReward(width=width)) for width in (3, 4)]
    assert len({cells_on(each)[0].key for each in widths}) == 2


def test_the_source_of_a_class_is_reached() -> None:
    (linear,), (neural,) = cells_on(BANDIT), cells_on(replace(BANDIT, reward_class=MLPReward(3)))
    assert "models/mlp_reward.py" in neural.sources.keys() - linear.sources.keys()
    assert "problems/problem.py" in linear.sources
    # Beside what builds the problem, all that computes the shipped one: its instruments among it.
    beside = shipped_cell().sources.keys() - linear.sources.keys()
    assert "problems/bandit.py" in beside
    assert all(name.startswith(("problems/", "kernels/", "arrays")) for name in beside), beside


@dataclass(frozen=True, eq=False, kw_only=True)
class Derived(Problem):
    """A problem whose methods no digest of tables would know."""


def test_without_an_honest_identity_a_problem_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {name: getattr(BANDIT, name) for name in [each.name for each in fields(BANDIT)]}
    with pytest.raises(InvalidArgumentError, match=r"^problem: .* derived class Derived; write"):
        given_problem(Derived(**given))
    unplain, homeless = MLPReward(width=3), MLPReward(width=3)
    object.__setattr__(unplain, "width", object())
    with pytest.raises(InvalidArgumentError, match=r"^problem.reward_class: .* frozen dataclass"):
        given_problem(replace(BANDIT, reward_class=unplain))
    given_problem(replace(BANDIT, reward_class=homeless))
    monkeypatch.setattr(MLPReward, "__module__", "typed_by_hand")
    monkeypatch.setitem(sys.modules, "typed_by_hand", ModuleType("typed_by_hand"))
    with pytest.raises(InvalidArgumentError, match=r"which no file defines; define"):
        given_problem(replace(BANDIT, reward_class=homeless))
    with pytest.raises(InvalidArgumentError, match=r"^problem: received <QuarticProblem"):
        given_problem(quartic())


@pytest.mark.parametrize(
    ("claim", "problem", "said"),
    [
        ("schedules-hard", BANDIT, "families plateau, valley: pass one of these"),
        ("control-quartic", BANDIT, "problems of the families quartic"),
        ("penalty-bias", replace(BANDIT, reward_class=MLPReward(3)), "leave the classes out"),
        ("penalty-bias-neural", BANDIT, "name a reward or policy class"),
    ],
)
def test_a_problem_that_a_claim_says_nothing_about_is_refused_before_any_work(
    claim: str, problem: Problem, said: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^problem: received .*{said}"):
        verify(claim, problem=problem, store=tmp_path / "store", catalogue=CATALOGUE)
    assert not (tmp_path / "store").exists()


def test_random_instances_are_no_problem() -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"^--problem: .* random instances .* --set seed=0"
    ):
        named_problem("penalty-bias/bandit-family", [], CATALOGUE)


def test_audits_are_those_of_problems_of_its_kind() -> None:
    claim = CATALOGUE.claim("penalty-bias")
    shape = {"states": 3, "actions": 2, "features": 3}
    for problem, audits in (
        (garnet(**shape, horizon=2), "audits"),
        (garnet(**shape, horizon=None, discount=0.5), "audits-discounted"),
    ):
        named = evidence_for([claim], CATALOGUE, given_problem(problem))
        assert named == ["penalty-bias", audits]


BARE = '[{}mine]\nfamily = "bandit"\ncontexts = 3\nactions = 2\nfeatures = 2\n'


@pytest.mark.parametrize("text", [BARE.format(""), BARE.format("problems.")])
def test_a_file_with_nothing_but_a_problem_is_enough(tmp_path: Path, text: str) -> None:
    (tmp_path / "my.toml").write_text(text)
    found = named_problem(f"{tmp_path / 'my.toml'}/mine", (), CATALOGUE)
    assert (found.label, found.spec.family) == ("mine", "bandit")
    assert found.spec.parameters["contexts"] == 3
    with pytest.raises(InvalidArgumentError, match="'min'; did you mean 'mine'"):
        named_problem(f"{tmp_path / 'my.toml'}/min", (), CATALOGUE)


def test_a_problem_is_named_as_experiments_name_it() -> None:
    named = named_problem("bandit-biased", (), CATALOGUE)
    stated = named_problem("bound-terms/bandit", (), CATALOGUE)
    assert named.spec == stated.spec
    assert (named.label, stated.label) == ("bandit-biased", "bandit")
    # However a family is named, what is said of it is the same but for its name.
    refused = (
        "random instances of a family; name a fixed problem, or one instance: bandit with --set"
    )
    for name in ("bandit-family", "penalty-smoothness/bandit-family"):
        with pytest.raises(InvalidArgumentError, match=f"received {name}, {refused}"):
            named_problem(name, (), CATALOGUE)


def test_a_problem_that_the_measurement_of_a_claim_is_not_for_is_refused_before_work(
    tmp_path: Path,
) -> None:
    """The claim has such problems; what its measurement needs of them is not there."""
    store = tmp_path / "store"
    message = (
        "problems.bandit: received measurement 'weak-gradient-domination', which needs objective "
        "'excess_risk', whose infimum is 0, with problem 'bandit', whose objective is 'cross_entropy'"
    )
    with pytest.raises(InvalidArgumentError, match=message):
        verify("weak-gradient-domination", problem=BANDIT, store=store, quick=True)
    assert not store.exists()
