"""The words of ``worst-case``; the search itself is tested in ``tests/worst_cases``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from theory_check import catalogue
from theory_check.catalogue import Catalogue
from theory_check.cli import main
from theory_check.problems import Problem, stored
from theory_check.problems.stored import origin
from theory_check.worst_cases import Evaluation, WorstCase

Capture = pytest.CaptureFixture[str]


def reward_spread(problem: Problem) -> Evaluation:
    spread = (problem.true_reward.max() - problem.true_reward.min()).item()
    return Evaluation(spread, kept=True, details={"series": (1.0, 2.0), "single": 0.5})


TOY = WorstCase(
    id="toy",
    claim="none",
    quantity="spread of the true reward",
    unit="reward",
    worse="larger",
    predicted="at most 1",
    families=("bandit", "garnet"),
    measure=reward_spread,
    confirm=reward_spread,
    tolerance=1e-9,
)
WORDS = ["worst-case", "toy", "--family", "bandit", "--budget", "40", "--restarts", "2"]


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"toy": TOY, "refuted": dataclasses.replace(TOY, id="refuted", confirm=refuting)}
    monkeypatch.setattr(catalogue, "installed", lambda: Catalogue.of(worst_cases=found))


def refuting(problem: Problem) -> Evaluation:
    return dataclasses.replace(reward_spread(problem), kept=False)


def test_the_table_says_what_was_searched_and_found(capsys: Capture) -> None:
    assert main(WORDS) == 0
    out, err = capsys.readouterr()
    assert "toy on BanditSpace(states=2, actions=3, features=1, kl_weight_low=0.05" in out
    assert "40 evaluations of the optimiser in 2 restarts, and as many of random search" in out
    assert "claimed: at most 1" in out
    assert "first route, series: 1, 2\n" in out
    assert "both routes agree within 1e-09)" in out
    assert out.endswith("what the claim predicts holds on it\n")
    assert "kept as" not in out
    assert err == ""


def test_json_is_the_same_for_the_same_seed(capsys: Capture) -> None:
    outputs = []
    for seed in ("3", "3", "4"):
        assert main([*WORDS, "--seed", seed, "--json"]) == 0
        outputs.append(json.loads(capsys.readouterr().out))
    first, again, other = outputs
    assert first == again
    assert first["cube"] != other["cube"]
    assert first["routes_agree"] is True
    assert first["searches"]["random"]["not_certified"] == 0
    best = max(search["worst"] for search in first["searches"].values())
    assert first["value"] == best == max(first["value"], *first["worst_of_restarts"])
    assert first["searches"]["random"]["median"] == first["random_median"] < best
    assert (first["budget"], first["restarts"], first["seed"]) == (40, 2, 3)


def test_a_labelled_instance_can_be_loaded(tmp_path: Path, capsys: Capture) -> None:
    words = [*WORDS, "--set", "states=3", "--store", str(tmp_path), "--label", "my-worst"]
    assert main([*words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    file = tmp_path / "worst-cases" / "my-worst.json"
    assert printed["file"] == str(file)
    problem = stored(file)
    assert (problem.states, problem.name) == (3, "my-worst")
    assert reward_spread(problem).value == printed["value"]
    assert origin(file).items() <= printed.items()
    before = file.read_bytes()
    assert main(words) == 2
    assert "--label: received 'my-worst'" in capsys.readouterr().err
    assert file.read_bytes() == before


def test_a_refuted_claim_has_its_exit_code(capsys: Capture) -> None:
    assert main(["worst-case", "refuted", *WORDS[2:]]) == 1
    assert capsys.readouterr().out.endswith("what the claim predicts FAILS on it\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tyo", "--family", "bandit"], "claim: received 'tyo'; did you mean 'toy'?"),
        (["toy", "--family", "bandt"], "--family: received 'bandt'; did you mean 'bandit'?"),
        (["toy", "--family", "tabular"], "--family: received 'tabular'"),
        (["toy", "--family", "bandit", "--budget", "3"], "--budget: received 3; pass at least one"),
        (["toy", "--family", "bandit", "--restarts", "0"], "--restarts: received 0"),
        (["toy", "--family", "bandit", "--seed", "-1"], "--seed: received -1"),
        (["toy", "--family", "bandit", "--set", "states=0"], "--set.states: received 0"),
        (["toy", "--family", "bandit", "--set", "stats=2"], "--set.stats: received an unknown key"),
        (["toy", "--family", "bandit", "--set", "states=x"], "--set.states: received 'x'"),
        (["toy", "--family", "bandit", "--set", "kl_weight_low=2"], "kl_weight_high: received 1.0"),
        (["toy", "--family", "bandit", "--label", "a/b"], "--label: received 'a/b'; pass letters"),
        (
            ["toy", "--family", "bandit", "--label", "random-garnet"],
            "the package brings an instance of that name",
        ),
    ],
)
def test_bad_words_are_refused(
    words: list[str], message: str, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["worst-case", *words, "--store", str(tmp_path / "store")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


def test_a_store_that_cannot_be_written_is_found_out_before_any_work(
    tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "file").touch()
    assert main([*WORDS, "--store", str(tmp_path / "file"), "--label", "x"]) == 2
    assert "pass another folder with --store" in capsys.readouterr().err


def test_routes_that_never_agree_end_with_an_error(capsys: Capture) -> None:
    def other(problem: Problem) -> Evaluation:
        return Evaluation(reward_spread(problem).value + 1, kept=True)

    wrong = {"toy": dataclasses.replace(TOY, confirm=other)}
    assert main(WORDS, Catalogue.of(worst_cases=wrong)) == 2
    assert "the second route disagrees" in capsys.readouterr().err
