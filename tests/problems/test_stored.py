"""Problems kept in files: the round trip, the identity of cells that use them, and what is refused."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.generators import random_problem

from theory_check.catalogue import installed
from theory_check.errors import InvalidArgumentError
from theory_check.models import MLPReward
from theory_check.problems import Problem, stored, tabular
from theory_check.problems.stored import ARRAYS, SCALARS, as_record, labels, origin
from theory_check.runs import Cell, load_experiment
from theory_check.worst_cases.spaces import SPACES

EXPERIMENT = """\
measurement = "penalty-bias"
description = "A stored problem."
seeds = 1
[settings]
sigmas = [0.1, 0.05, 0.02, 0.01]
[problems.kept]
family = "stored"
file = "{file}"
{more}
"""

PROBLEMS = {
    "episodic": random_problem(3, (3, 2, 2), features=2, realisable=False),
    "sparse": random_problem(4, (3, 2, 2), sparse=True, discount=0.9),
    "searched": SPACES["garnet"](features=2).problem(np.random.default_rng(2).random(30)),
}

Read = Callable[..., Cell]


def write(path: Path, problem: Problem, label: str = "kept") -> Path:
    path.write_text(as_record(problem, label, {"why": "a test"}))
    return path


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return write(tmp_path / "kept.json", PROBLEMS["episodic"])


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def cell(file: object, more: str = "") -> Cell:
        path = tmp_path / "uses.toml"
        path.write_text(EXPERIMENT.format(file=file, more=more))
        return load_experiment(path).cells()[0]

    return cell


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_what_is_loaded_is_what_was_saved_bit_for_bit(name: str, tmp_path: Path) -> None:
    source = PROBLEMS[name]
    loaded = stored(write(tmp_path / "x.json", source))
    for array in ARRAYS:
        assert torch.equal(getattr(loaded, array), getattr(source, array)), array
    for scalar in SCALARS:
        assert getattr(loaded, scalar) == getattr(source, scalar), scalar
    assert loaded.name == "kept"
    assert as_record(loaded, "kept", {"why": "a test"}) == (tmp_path / "x.json").read_text()
    assert origin(tmp_path / "x.json") == {"why": "a test"}


def test_objective_and_kl_weight_can_be_changed(kept: Path) -> None:
    changed = stored(kept, objective="excess_risk", kl_weight=0.3)
    assert (changed.objective, changed.kl_weight) == ("excess_risk", 0.3)
    assert torch.equal(changed.true_reward, stored(kept).true_reward)


def test_a_file_of_another_content_is_refused_where_the_hash_is_given(kept: Path) -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"^sha256: received 'abab.*; .*restore the file"
    ):
        stored(kept, sha256="ab" * 32)
    with pytest.raises(InvalidArgumentError, match=r"^sha256: received 'ab'; .*64 hexadecimal"):
        stored(kept, sha256="ab")


def test_a_changed_file_is_another_cell(kept: Path, read: Read) -> None:
    before = read(kept)
    assert read(kept).key == before.key
    assert len(before.problem.parameters["sha256"]) == 64
    write(kept, PROBLEMS["sparse"])
    after = read(kept)
    assert after.key != before.key
    # A cell that was read before the change never computes numbers of the changed file.
    with pytest.raises(InvalidArgumentError, match=r"^sha256: received .*; .* has "):
        pickle.loads(pickle.dumps(before.problem)).build()


def test_a_hash_in_the_experiment_file_pins_the_content(kept: Path, read: Read) -> None:
    digest = read(kept).problem.parameters["sha256"]
    assert read(kept, f'sha256 = "{digest}"').key == read(kept).key
    write(kept, PROBLEMS["sparse"])
    with pytest.raises(InvalidArgumentError, match=r"problems\.kept\.sha256: received"):
        read(kept, f'sha256 = "{digest}"')


def test_classes_go_with_a_stored_problem(kept: Path, read: Read) -> None:
    cell = read(kept, 'reward = { name = "mlp", width = 4 }')
    assert cell.problem.build().reward_class == MLPReward(width=4)


def without(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda record: record["problem"].pop(key) and None


def put(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda record: record["problem"].__setitem__(key, value)


def top(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda record: record.__setitem__(key, value)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (top("format", "other 2"), 'has no "format": "theory-check problem 1"'),
        (top("label", "../up"), "has the label '../up'"),
        (top("label", None), "has the label None"),
        (top("origin", 3), "has no table origin"),
        (top("problem", []), "has no table problem"),
        (without("initial"), "lacks problem.initial"),
        (put("beta", 1.0), "has the unknown key problem.beta"),
        (put("kl_weight", 0.0), "whose kl_weight is 0.0"),
        (put("kl_weight", "1.0"), "whose kl_weight is '1.0'"),
        (put("horizon", 2.5), "whose horizon is 2.5"),
        (put("horizon", 3), "whose reference_policy is shape"),
        (put("discount", True), "whose discount is True"),
        (put("objective", "regret"), "whose objective is 'regret'"),
        (put("initial", [0.5, 0.4, 0.2]), "whose initial is a row that sums to 1.1"),
        (put("initial", ["0.5", "0.25", "0.25"]), "whose initial is list (of type <U4)"),
        (put("initial", [[1.0], [1.0, 2.0]]), "whose initial is list (setting an array element"),
        (put("initial", 1.0), "whose initial is of type float;"),
        (put("true_reward", [[0.0, math.nan], [0, 0], [0, 0]]), "whose true_reward is nan"),
    ],
)
def test_garbage_is_refused_naming_what_is_wrong(
    damage: Callable[[dict[str, Any]], None], message: str, kept: Path
) -> None:
    record = json.loads(kept.read_text())
    damage(record)
    kept.write_text(json.dumps(record))
    with pytest.raises(InvalidArgumentError) as caught:
        stored(kept)
    assert caught.value.argument == "file"
    assert message in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"\xff\xfe", b"3"])
def test_what_is_no_record_is_refused(content: bytes, kept: Path) -> None:
    kept.write_bytes(content)
    with pytest.raises(InvalidArgumentError, match=r"^file: received '.*kept.json', which "):
        stored(kept)


def test_a_file_that_is_not_there_points_at_the_labels(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^file: received .*; pass the path of a JSON"):
        stored(tmp_path / "none.json")
    with pytest.raises(InvalidArgumentError, match="did you mean 'random-garnet'"):
        stored("random-garnt")
    with pytest.raises(InvalidArgumentError, match="Is a directory"):
        stored(tmp_path)


def test_only_what_can_be_written_is(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^problem: received classes MLPReward"):
        as_record(PROBLEMS["episodic"].with_classes(reward=MLPReward()), "x", {})
    with pytest.raises(
        InvalidArgumentError, match=r"^problem: received labels of the law Thurstone"
    ):
        as_record(PROBLEMS["episodic"].with_preferences("thurstone"), "x", {})
    masked = tabular(
        transitions=np.ones((1, 2, 1)),
        initial=[1.0],
        true_reward=[[0.0, 1.0]],
        horizon=1,
        action_mask=[[True, False]],
    )
    with pytest.raises(InvalidArgumentError, match=r"^problem: received an action_mask"):
        as_record(masked, "x", {})
    with pytest.raises(InvalidArgumentError, match=r"^label: received 'a/b'; pass letters"):
        as_record(PROBLEMS["episodic"], "a/b", {})


@pytest.mark.slow
@pytest.mark.parametrize("label", labels())
def test_the_instances_of_the_package_are_what_they_say(label: str) -> None:
    """The point of the cube that the origin states; a worst one has the value stated there."""
    problem, found = stored(label), origin(label)
    assert problem.name == label
    space = SPACES[found["family"]](**found["sizes_and_bounds"])
    again = space.problem(np.array(found["cube"]))
    for array in ARRAYS:
        torch.testing.assert_close(
            getattr(problem, array), getattr(again, array), rtol=1e-14, atol=0
        )
    if not label.startswith("worst-"):
        return
    assert label == f"worst-{found['quantity']}-{found['family']}"
    case = installed().worst_cases[found["quantity"]]
    measured = case.measure(problem)
    # Rounding may differ between machines; exponents and constants do not at six digits.
    assert measured.value == pytest.approx(found["value"], rel=1e-6)
    assert found["value"] > found["random_median"]
    assert found["kept"]


def test_the_package_brings_the_instances_that_the_documents_name() -> None:
    brought = {
        f"worst-{name}-{family}"
        for name in installed().worst_cases
        for family in ("bandit", "garnet")
    }
    assert set(labels()) == brought | {"random-garnet"}
