"""The words of ``advise``; its numbers are tested in ``tests/advice``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.costs import episodic_costs

import theory_check as tc
from theory_check.advice import Advice, AdviceCheck, advisor, check
from theory_check.advice.advisor import ADVISED
from theory_check.advice.model import MeasuredConstants, TransientSum
from theory_check.advice.plan import after_rehearsal, plan_schedule
from theory_check.catalogue import Catalogue
from theory_check.cli import main
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.solvers.schedules import SCHEDULES
from theory_check.studies.named import find_problem

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]
SMALL = ["--set", "contexts=2", "--set", "actions=2", "--set", "features=2"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--problem", "bandt", "--epsilon", "0.1"], "--problem: received 'bandt'; did you mean"),
        (
            ["--problem", "bandit", "--set", "contxts=3", "--epsilon", "0.1"],
            "--set.contxts: received an unknown key; did you mean 'contexts'?",
        ),
        (["--problem", "bandit", "--set", "3", "--epsilon", "0.1"], "write KEY=VALUE"),
        (
            ["--problem", "bandit", "--set", "contexts=[", "--epsilon", "0.1"],
            "--set.contexts: received '['; write the value as in a TOML file",
        ),
        (
            ["--problem", "bandit", *SMALL, "--set", "contexts=two", "--epsilon", "0.1"],
            "--set.contexts: received 'two'; pass a value of type int",
        ),
        # Numbers come first, whatever the problem lacks.
        (["--problem", "bandit", "--epsilon", "1.5"], "--epsilon: received 1.5; pass a target"),
        (["--problem", "bandit", *SMALL, "--epsilon", "nan"], "--epsilon: received nan"),
        (
            ["--problem", "bandit", "--epsilon", "0.1", "--initial-scale", "0"],
            "--initial-scale: received 0.0; pass a finite number",
        ),
        (
            ["--problem", "bandit", "--set", "features=2", "--epsilon", "0.1"],
            "--set: received no contexts, actions; add --set contexts=VALUE --set actions=VALUE",
        ),
        (["--problem", "advice/bandi", "--epsilon", "0.1"], "did you mean 'bandit'?"),
        (
            ["--problem", "advice/bandit", "--set", "seed=1", "--epsilon", "0.1"],
            "--set: received 'seed=1'; leave it out",
        ),
        (
            ["--problem", "quartic", "--epsilon", "0.1"],
            "--problem: received a QuarticProblem; pass a preference-learning problem",
        ),
        (["--problem", "mdp", "--epsilon", "0.1"], "known: bandit,"),
        (
            ["--problem", "bandit", *SMALL, "--epsilon", "0.9", "--initial-scale", "0.01"],
            "--epsilon: received 0.9, which the starts meet already",
        ),
    ],
)
def test_bad_words_are_refused(
    words: list[str], message: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["advise", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


def small_advice() -> Advice:
    """Real plans for scripted constants: what is tested here is what becomes of them."""
    measured = MeasuredConstants(
        outer_curvature=2.0,
        inner_curvature=0.5,
        transient={1: TransientSum(4.0, 2.5)},
        bias=0.05,
        noise={"shared": {1: 8.0}, "independent": {1: 2.0}},
        pilot=SampleCounts(trajectories=1000, labels=200),
    )
    plans = [plan_schedule(SCHEDULES[name], 0.05, measured, episodic_costs()) for name in ADVISED]
    plans[2] = after_rehearsal(plans[2], 0.05, episodic_costs(), (300, 200))
    return Advice("bandit", 0.05, 1.0, measured, tuple(plans), SampleCounts(trajectories=34))


def outcome(advice: Advice, reached: int, ratio: float) -> AdviceCheck:
    """A check of 16 seeds, of which ``reached`` meet the target, at a cost of ``ratio``."""
    plan = advice.best
    return AdviceCheck(
        seeds=tuple(range(16)),
        accuracy=np.array([0.01] * reached + [0.2] * (16 - reached)),
        samples=np.full(16, ratio * plan.predicted.samples),
        epsilon=0.05,
        predicted=plan.predicted.samples,
        planned=plan.planned.samples,
    )


@pytest.fixture
def advised(monkeypatch: pytest.MonkeyPatch) -> Advice:
    advice = small_advice()
    monkeypatch.setattr(advisor, "advise", lambda *arguments, **options: advice)
    return advice


WORDS = ["advise", "--problem", "bandit", *SMALL, "--epsilon", "0.05"]


def test_advice_is_printed(advised: Advice, capsys: Capture) -> None:
    assert main(WORDS) == 0
    text = capsys.readouterr().out
    for expected in (
        "total-7/2 [R]",
        "total-3 [S]",
        "*  total-2 [D]",
        "the pilot drew 1.23e+03 samples, 34 of them in the rehearsal",
        "* cheapest: T = 300, of which 200 should do for 14 of 16 runs",
    ):
        assert expected in text
    rows = [line.split() for line in text.splitlines() if re.search(r"\[[RSD]\]", line)][:3]
    assert [" ".join(row[-2:]) for row in rows[:2]] == ["not run"] * 2
    assert rows[2][-1] == "met"
    assert "check" not in text


@pytest.mark.parametrize(
    ("reached", "ratio", "code", "last"),
    [
        (14, 1.0, 0, "check passed"),
        (13, 1.0, 1, "check failed"),
        (16, 2.5, 1, "check failed"),
    ],
)
def test_the_check_decides_the_exit_code(
    reached: int,
    ratio: float,
    code: int,
    last: str,
    advised: Advice,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = outcome(advised, reached, ratio)
    monkeypatch.setattr(check, "check_advice", lambda *arguments: found)
    assert main([*WORDS, "--check"]) == code
    text = capsys.readouterr().out
    assert text.endswith(f"{last}\n")
    assert f"check: {reached} of 16 seeds met the target by T (14 needed)" in text
    assert main([*WORDS, "--json", "--check"]) == code
    record = json.loads(capsys.readouterr().out)
    assert record["best"] == "total-2"
    assert record["pilot"] == {
        "env_steps": 0,
        "trajectories": 1034,
        "labels": 200,
        "exact_calls": 0,
        "samples": 1234,
    }
    assert record["check"]["cost_ratio"] == pytest.approx(ratio)
    assert record["check"]["passed"] is (code == 0)
    assert record["plans"][2]["solver"]["trajectories"] == advised.best.solver.trajectories
    assert [plan["rehearsal"] for plan in record["plans"]] == ["not run", "not run", "met"]


def test_a_problem_of_an_experiment_is_that_of_its_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    problem = find_problem("advice/garnet-sharp", [], Catalogue.shipped())
    expected = tc.problems.garnet(states=3, actions=2, horizon=2, features=4, kl_weight=0.5, seed=6)
    for attribute in ("transitions", "features", "true_reward"):
        assert torch.equal(
            torch.as_tensor(getattr(problem, attribute)),
            torch.as_tensor(getattr(expected, attribute)),
        )
    assert (problem.horizon, problem.kl_weight) == (2, expected.kl_weight)


def test_help_has_an_example_and_no_store(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["advise", "--help"])
    text = capsys.readouterr().out
    assert "theory-check advise --problem bandit --set contexts=3" in text
    assert "nothing is stored" in text
    assert "killed one is resumed" not in text
