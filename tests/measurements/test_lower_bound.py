"""The measurement of the lower bound: what it counts, and that what breaks the bound is seen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from theory_check.catalogue import installed
from theory_check.errors import InvalidArgumentError
from theory_check.measurements.lower_bound import HittingRecorder, LowerBound
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.problems import quadratic, zero_chain
from theory_check.randomness import first_seed
from theory_check.tuning.reference_descent import REFERENCE, REUSED

PROBLEM: Any = zero_chain(epsilon=1.1e-7, gap=1.98e-3, noise=6.8e-3)


def ignore(done: int, total: int) -> None:
    """Take no notice of the progress."""


@pytest.mark.slow
def test_methods_keep_the_bound_and_what_cheats_does_not() -> None:
    """False alarm 8e-6: four runs at two accuracies, each below 1e-6 with that probability."""
    settings: dict[str, Any] = {"epsilons": (1.1e-7, 5e-8), "trials": 8, "tuning_seeds": 2}
    table = LowerBound(method=REFERENCE, **settings).measure(PROBLEM, range(4), ignore)
    assert table["seed"].tolist() == [0, 1, 2, 3] * 2
    assert sorted(set(table["links"])) == [5, 11]
    np.testing.assert_allclose(table["bound"], table["links"] / table["probability"])
    assert (table["outcome"] == "reached").all()
    assert (table["first_samples"] <= table["samples"]).all()
    assert (table["first_samples"] >= table["links"]).all()
    assert (table["seen"] == table["links"]).all()
    # The chance, by its other formula: k successes are there once Binomial(n, p) >= k.
    expected = stats.binom.sf(table["links"] - 1, table["first_samples"], table["probability"])
    np.testing.assert_allclose(table["chance"], expected, rtol=1e-9)
    assert (table["chance"] > 1e-6).all()
    # AHO gets the response without noise, and needs fewer samples than links have to wait for.
    searched = settings | {"trials": 24}
    cheated = LowerBound(method=installed().methods["aho"], **searched).measure(
        PROBLEM, range(4), ignore
    )
    assert (cheated.loc[cheated["links"] == 11, "chance"] < 1e-6).all()


def test_one_batch_for_all_steps_sees_more_links_than_it_had_successes() -> None:
    measurement = LowerBound(method=REUSED, epsilons=(2e-8,), iterations=300)
    constants = {"step_size": 10.0, "batch": 6.0}
    instance = PROBLEM.instance_for(2e-8)
    recorder = measurement._run(instance, constants, range(8), np.inf, 300)
    rows = recorder.rows(range(8))
    assert (rows["chance"] < 1e-6).mean() >= 0.5


def test_a_recorder_finds_the_first_iterate_and_the_second_half() -> None:
    """Iterates whose squared gradients are known: 4, 4, 0, 0, 0, 0 epsilon."""
    sizes = iter([4.0, 4.0, 0.0, 0.0, 0.0, 0.0])
    problem: Any = SimpleNamespace(
        epsilon=1.0,
        links=3,
        success_probability=0.5,
        hypergradient=lambda upper: torch.tensor([[next(sizes) ** 0.5]]),
        progress=lambda upper: torch.tensor([2.0]),
    )
    recorder = HittingRecorder(problem, 1, np.inf)
    state: Any = SimpleNamespace(next_upper=torch.zeros(1, 1))
    for iteration in range(1, 7):
        assert not recorder.finished
        counts = SampleCounts(trajectories=10 * iteration, labels=iteration)
        recorder.observe(iteration, state, counts, torch.tensor([0]))
        if recorder.finished:
            break
    (row,) = recorder.rows([7]).to_dict("records")
    # Means over the second halves: 4, 4, (4 + 0)/2, 0.
    assert (row["first_samples"], row["samples"], row["iterations"]) == (30, 40, 4)
    assert (row["outcome"], row["labels"], row["seen"]) == ("reached", 4, 2)
    # P(2 successes within 30 trials).
    assert row["chance"] == pytest.approx(1 - 31 * 0.5**30)


@pytest.mark.parametrize(
    ("settings", "argument"),
    [
        ({"method": installed().methods["f2ba"]}, "method"),
        ({"epsilons": (1e-8, 1e-7)}, "epsilons"),
    ],
)
def test_refusals(settings: dict[str, Any], argument: str) -> None:
    given = {"method": installed().methods["penalty"], "epsilons": (1e-7,)} | settings
    with pytest.raises(InvalidArgumentError, match=f"^{argument}: received"):
        LowerBound(**given)


def test_the_seeds_of_an_experiment_are_not_taken_for_tuning_seeds() -> None:
    """They lie far above: the experiment's own cells have to run."""
    first = first_seed("zero-chain", "zero-chain")
    seeds = range(first, first + 2)
    measurement = LowerBound(
        method=REFERENCE, epsilons=(1.1e-7,), trials=2, tuning_seeds=1, iterations=40
    )
    assert measurement.measure(PROBLEM, seeds, ignore)["seed"].tolist() == list(seeds)


def test_other_problems_and_tuning_seeds_are_refused() -> None:
    measurement = LowerBound(method=installed().methods["penalty"], epsilons=(1e-7,))
    other: Any = quadratic()
    with pytest.raises(InvalidArgumentError, match=r"^problem: .*, a QuadraticProblem; name"):
        measurement.measure(other, [0], ignore)
    with pytest.raises(InvalidArgumentError, match=r"^seeds: received 1000"):
        measurement.measure(PROBLEM, [1000], ignore)
