"""Reward and policy classes in the tables of problems, and keys that a family passes on."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sweep_toys import CATALOGUE, line

from theory_check.catalogue import Catalogue, Root, installed
from theory_check.errors import InvalidArgumentError
from theory_check.models import Linear, LogLinear, MLPPolicy, MLPReward, Tabular
from theory_check.problems import BradleyTerry, Thurstone
from theory_check.problems.spec import CLASS_KEYS, OWN_KEYS, PREFERENCES, ProblemSpec
from theory_check.runs import Cell, Experiment, load_experiment
from theory_check.runs.build import function_parameters
from theory_check.runs.identity import plain
from theory_check.runs.problem_table import bound_problem

FILE = """\
measurement = "penalty-bias"
description = "Neural classes."
seeds = 1
[settings]
sigmas = [0.1, 0.05, 0.02, 0.01]
[problems.bandit]
family = "bandit"
contexts = 2
actions = 2
features = 2
{classes}
"""

Read = Callable[..., Cell]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def cell(classes: str = "") -> Cell:
        path = tmp_path / "neural.toml"
        path.write_text(FILE.format(classes=classes))
        return load_experiment(path).cells()[0]

    return cell


def test_classes_are_part_of_the_problem(read: Read) -> None:
    cell = read('reward = { name = "mlp", width = 8 }\npolicy = { name = "log-linear" }')
    problem = cell.problem.build()
    assert problem.reward_class == MLPReward(width=8)
    assert problem.policy_class == LogLinear()
    assert problem.states == 2


def test_one_class_leaves_the_other(read: Read) -> None:
    cell = read('policy = { name = "mlp", activation = "gelu", output_scale = 1 }')
    problem = cell.problem.build()
    assert problem.reward_class == Linear()
    assert problem.policy_class == MLPPolicy(activation="gelu", output_scale=1.0)
    assert "reward" not in cell.problem.parameters


def test_a_cell_with_classes_goes_to_another_process(read: Read) -> None:
    cell = pickle.loads(pickle.dumps(read('reward = { name = "mlp" }')))
    assert cell.problem.build().reward_class == MLPReward()


def test_the_identity_has_every_setting(read: Read) -> None:
    cell = read('reward = { name = "mlp", width = 8 }')
    settings = {"name": "mlp", **dataclasses.asdict(MLPReward(width=8))}
    assert plain(cell.problem.parameters["reward"]) == settings
    spelled = 'reward = { width = 8, depth = 1, name = "mlp", weight_scale = 1 }'
    assert read(spelled).key == cell.key


@pytest.mark.parametrize(
    "classes",
    [
        'reward = { name = "mlp" }',
        'reward = { name = "mlp", width = 9 }',
        'reward = { name = "mlp", width = 8, depth = 2 }',
        'reward = { name = "mlp", width = 8, activation = "gelu" }',
        'policy = { name = "mlp", width = 8 }',
        'reward = { name = "mlp", width = 8 }\npolicy = { name = "mlp", width = 8 }',
        "",
    ],
)
def test_the_key_depends_on_every_setting(read: Read, classes: str) -> None:
    assert read(classes).key != read('reward = { name = "mlp", width = 8 }').key


def test_the_default_classes_spelled_out_are_no_other_problem(read: Read) -> None:
    spelled = read('reward = { name = "linear" }\npolicy = { name = "tabular" }')
    assert spelled.key == read().key
    problem = spelled.problem.build()
    assert (problem.reward_class, problem.policy_class) == (Linear(), Tabular())


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (
            'reward = "mlp"',
            "reward: received 'mlp'; pass a table with the name of a class; known: ",
        ),
        (
            'policy = "mlp"',
            "policy: received 'mlp'; pass a table with the name of a class; known: ",
        ),
        ("reward = { width = 8 }", "reward.name: received nothing; known: linear, mlp"),
        ('reward = { name = "mpl" }', "reward.name: received 'mpl'; did you mean 'mlp'?"),
        ('reward = { name = "log-linear" }', "reward.name: received 'log-linear'; did you mean '"),
        ('policy = { name = "linear" }', "policy.name: received 'linear'; did you mean 'log-li"),
        ('reward = { name = "mlp", widht = 8 }', "reward.widht: received an unknown key; did you"),
        ('reward = { name = "mlp", width = 0 }', "reward.width: received 0; pass an integer of at"),
        ('reward = { name = "mlp", width = 1.5 }', "reward.width: received 1.5; pass a value of"),
        ('policy = { name = "mlp", depth = 0 }', "policy.depth: received 0; pass an integer of at"),
        (
            'policy = { name = "mlp", activation = "tan" }',
            "policy.activation: received 'tan'; pass",
        ),
        (
            'policy = { name = "mlp", weight_scale = 0 }',
            "policy.weight_scale: received 0.0; pass a",
        ),
        ('policy = { name = "mlp", output_scale = -1 }', "policy.output_scale: received -1.0; pas"),
        ('rewards = { name = "mlp" }', "rewards: received an unknown key; "),
        ("preferences = 1", "preferences: received 1; pass the name of a law, or a table with it"),
        ('preferences = "thurston"', "preferences.name: received 'thurston'; did you mean 'thur"),
        ("preferences = { tie = 1 }", "preferences.name: received nothing; known: bradley-terry"),
        (
            'preferences = { name = "thurstone", tie = 0.1 }',
            "preferences.tie: received an unknown key; ",
        ),
        (
            'preferences = { name = "bradley-terry", random_share = 1.0 }',
            "preferences.random_share: received 1.0; pass a share of random answers in [0, 1)",
        ),
        (
            'preferences = { name = "bradley-terry", temperature = 0 }',
            "preferences.temperature: received 0.0; pass",
        ),
    ],
)
def test_a_mistake_names_the_dotted_key(read: Read, classes: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        read(classes)
    assert f": problems.bandit.{message}" in str(caught.value)


@pytest.mark.parametrize("key", CLASS_KEYS)
def test_a_closed_form_problem_has_no_classes(key: str) -> None:
    table = {"family": "quartic", key: {"name": "mlp"}}
    with pytest.raises(InvalidArgumentError, match=f"^problems.q.{key}: received a class; leave"):
        bound_problem(table, "problems.q", installed())


def test_a_closed_form_problem_has_no_labels() -> None:
    table = {"family": "quartic", PREFERENCES: "thurstone"}
    with pytest.raises(
        InvalidArgumentError, match=r"^problems.q.preferences: received a law of labels; leave"
    ):
        bound_problem(table, "problems.q", installed())


def test_a_law_of_labels_is_part_of_the_problem(read: Read) -> None:
    cell = read('preferences = { name = "bradley-terry", temperature = 2, random_share = 0.1 }')
    law = BradleyTerry(temperature=2.0, random_share=0.1)
    assert cell.problem.build().preferences == law
    assert cell.problem.parameters["preferences"] == law
    assert plain(law) == {
        "name": "bradley-terry",
        "temperature": 2.0,
        "random_share": 0.1,
        "tie": 0.0,
    }
    assert pickle.loads(pickle.dumps(cell)).problem.build().preferences == law
    named = read('preferences = "thurstone"')
    assert named.problem.build().preferences == Thurstone()
    assert read('preferences = { name = "thurstone" }').key == named.key
    assert len({cell.key, named.key, read().key}) == 3


def test_the_law_that_a_family_has_anyway_is_no_other_problem(read: Read) -> None:
    spelled = read('preferences = { name = "bradley-terry", temperature = 1 }')
    assert spelled.key == read('preferences = "bradley-terry"').key == read().key
    assert "preferences" not in spelled.problem.parameters


def test_a_whole_number_is_the_same_setting_of_a_law() -> None:
    """2 and 2.0 are one annotator, whoever writes them: problems made in Python are keyed by the law."""
    assert repr(Thurstone(deviation=2)) == repr(Thurstone(deviation=2.0))
    assert repr(BradleyTerry(tie=1, random_share=0)) == repr(BradleyTerry(tie=1.0))
    with pytest.raises(InvalidArgumentError, match=r"^deviation"):
        Thurstone(deviation=True)


def test_classes_and_a_law_go_together(read: Read) -> None:
    problem = read('preferences = "thurstone"\nreward = { name = "mlp" }').problem.build()
    assert (problem.preferences, problem.reward_class) == (Thurstone(), MLPReward())


def test_no_family_uses_the_keys_of_classes() -> None:
    taken = {
        name
        for name, function in installed().families.items()
        if not function_parameters(function).keys().isdisjoint(OWN_KEYS)
    }
    assert taken == set()


def test_a_family_that_passes_keys_on_gets_unknown_ones() -> None:
    def spread(*, slope: float = 1.0, **kwargs: Any) -> object:
        return line(slope=slope, limit=None, **kwargs)

    catalogue = Catalogue.of(families={"spread": spread, "line": line})
    bound = bound_problem({"family": "spread", "slope": 2, "offset": 3}, "problems.p", catalogue)
    assert bound == ProblemSpec("spread", {"slope": 2.0, "offset": 3}, spread)
    with pytest.raises(InvalidArgumentError, match=r"^problems.p.slop: received an unknown key"):
        bound_problem({"family": "line", "slope": 2, "slop": 3}, "problems.p", catalogue)


STATED = '[steep]\nfamily = "line"\nslope = 4.0\n\n[flat]\nfamily = "line"\nslope = 0.5\n'


@pytest.fixture
def named(tmp_path: Path) -> Callable[[str], Experiment]:
    """Load an experiment of lines whose problems are given, beside a file that states two."""
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "problems.toml").write_text(STATED)
    root = Root(tmp_path, "theory_check", {}, folder, tmp_path / "figures")
    catalogue = Catalogue((root,), CATALOGUE.given)

    def load(problems: str) -> Experiment:
        file = folder / "lines.toml"
        file.write_text(
            f'measurement = "values"\ndescription = "Lines."\nseeds = 1\n{problems}\n'
            '[settings]\npoints = [1.0]\njournal = "j"\n'
        )
        assert list(catalogue.experiments) == ["lines"]
        return load_experiment(file, catalogue)

    return load


def test_problems_are_named_and_a_label_may_be_another(
    named: Callable[[str], Experiment],
) -> None:
    listed = named('problems = ["steep", "flat"]').full
    assert [(cell.label, cell.problem.parameters["slope"]) for cell in listed] == [
        ("steep", 4.0),
        ("flat", 0.5),
    ]
    written = named(
        '[problems]\nmine = "steep"\n[problems.flat]\nfamily = "line"\nslope = 0.5'
    ).full
    assert [cell.label for cell in written] == ["mine", "flat"]
    # The label decides the seeds and nothing else; a table is the same written out or named.
    assert written[0].problem == listed[0].problem
    assert written[0].first_seed != listed[0].first_seed
    assert written[1].key == listed[1].key


@pytest.mark.parametrize(
    ("problems", "message"),
    [
        ('problems = ["step"]', r"problems\.step: received 'step'; did you mean 'steep'"),
        ('[problems]\nmine = "stepp"', r"problems\.mine: received 'stepp'; did you mean 'steep'"),
        ('problems = ["flat", "flat"]', r"problems: received .*; list every name once"),
        ("problems = []", r"problems: received none"),
        ("problems = [1]", r"problems"),
    ],
)
def test_problems_that_cannot_be_named(
    named: Callable[[str], Experiment], problems: str, message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        named(problems)


def test_what_is_no_file_of_problems_is_not_passed_over(tmp_path: Path) -> None:
    """A folder, and a link that leads nowhere, are there and say nothing."""
    for make, cause in (
        (Path.mkdir, "Is a directory"),
        (lambda path: path.symlink_to(tmp_path / "nowhere"), "No such file"),
    ):
        folder = tmp_path / cause.replace(" ", "-")
        (folder / "experiments").mkdir(parents=True)
        make(folder / "experiments" / "problems.toml")
        catalogue = Catalogue.shipped().with_folder(folder)
        with pytest.raises(InvalidArgumentError, match=rf"problems\.toml: .* read \({cause}"):
            catalogue.require_problems()


@pytest.mark.parametrize(("text", "message"), [("a = 1", r"problems\.toml: a"), ("[", "not TOML")])
def test_a_file_of_problems_that_is_none_is_named(
    named: Callable[[str], Experiment], tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "experiments" / "problems.toml").write_text(text)
    with pytest.raises(InvalidArgumentError, match=message):
        named('problems = ["a"]')
