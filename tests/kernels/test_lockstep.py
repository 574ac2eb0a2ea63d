"""Pairs of many replicates in lockstep are those of each replicate alone, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from theory_check.kernels.bradley_terry import label_law
from theory_check.kernels.draws import (
    LOCKSTEP_PER_OUTCOME,
    LOCKSTEP_PER_PAIR,
    in_lockstep,
    labelled_pair_sums,
    trajectory_frequencies,
)
from theory_check.kernels.lockstep import LANES, LARGEST, WIDTH, add_pairs_in_lockstep
from theory_check.kernels.random_bits import seeded_states


def laws(kind: str, replicates: int, outcomes: int) -> np.ndarray:
    """Return laws of many kinds: spread, nearly certain with zeros, and halves."""
    generator = np.random.default_rng([replicates, outcomes])
    if kind == "halves":
        law = np.cumprod(np.full((replicates, outcomes), 0.5), axis=1)
        law[:, -1] += law[:, -1]
        return law / law.sum(1, keepdims=True)
    law = generator.dirichlet(np.full(outcomes, 3.0 if kind == "spread" else 0.05), replicates)
    return np.where(law < 1e-6, 0.0, law)


@pytest.mark.parametrize("excess", [False, True])
@pytest.mark.parametrize("kind", ["spread", "certain", "halves"])
@pytest.mark.parametrize(
    ("replicates", "outcomes"), [(LANES, 1), (LANES + 3, 2), (WIDTH + 9, 9), (2 * LANES, 24)]
)
def test_a_batch_is_its_replicates(replicates: int, outcomes: int, kind: str, excess: bool) -> None:
    generator = np.random.default_rng(7)
    law = laws(kind, replicates, outcomes)
    returns = generator.normal(size=(replicates, outcomes))
    labels = label_law(generator.normal(size=outcomes))
    returns[1] *= 400.0  # too far apart for powers
    law[2, 0] = np.nan
    smallest = LOCKSTEP_PER_PAIR * outcomes**2
    for number in (smallest - 1, smallest, 30_000, 10**9, LARGEST):
        together = seeded_states(range(replicates))
        found = labelled_pair_sums(together, law, returns, labels, number, excess)
        for row in range(replicates):
            alone = seeded_states([row])
            part = slice(row, row + 1)
            expected = labelled_pair_sums(alone, law[part], returns[part], labels, number, excess)
            np.testing.assert_array_equal(together[part], alone)
            np.testing.assert_array_equal(found[0][part], expected[0])
            np.testing.assert_array_equal(found[1][part], expected[1])
    assert np.isnan(found[0][2]).all()


@pytest.mark.parametrize("kind", ["spread", "certain", "halves"])
@pytest.mark.parametrize(
    ("replicates", "outcomes"), [(LANES, 1), (LANES + 3, 2), (WIDTH + 9, 9), (2 * LANES, 24)]
)
def test_frequencies_of_a_batch_are_those_of_its_replicates(
    replicates: int, outcomes: int, kind: str
) -> None:
    law = laws(kind, replicates, outcomes)
    law[2, 0] = np.nan
    if law[3, :-1].sum() > 0.0:
        law[3, -1] = 0.0  # nothing is left for the last one
    smallest = LOCKSTEP_PER_OUTCOME * outcomes
    for number in (smallest - 1, smallest, 30_000, 10**9, LARGEST):
        together = seeded_states(range(replicates))
        found = trajectory_frequencies(together, law, number)
        for row in range(replicates):
            alone = seeded_states([row])
            expected = trajectory_frequencies(alone, law[row : row + 1], number)
            np.testing.assert_array_equal(together[row : row + 1], alone)
            np.testing.assert_array_equal(found[row : row + 1], expected)
    assert np.isnan(found[2]).all()


def test_sums_are_added_to_what_is_there() -> None:
    law = laws("spread", LANES, 3)
    returns = np.random.default_rng(0).normal(size=law.shape)
    labels = label_law(returns[0])
    sums = [np.zeros(law.shape), np.zeros(law.shape)]
    rows = np.arange(LANES)[::-1].copy()
    states = seeded_states(range(LANES))
    add_pairs_in_lockstep(states, rows, law, returns, labels, 1000, False, *sums)
    expected = labelled_pair_sums(seeded_states(range(LANES)), law, returns, labels, 1000, False)
    for found, each in zip(sums, expected, strict=True):
        np.testing.assert_array_equal(found / 1000, each)


def test_who_is_in_lockstep() -> None:
    """The comparison above would hold as well if nobody ever were."""
    replicates = LANES + 3
    law = laws("spread", replicates, 4)
    law[1] = np.nan
    returns = np.zeros(law.shape)
    returns[2, 0] = 601.0
    rows = np.flatnonzero(in_lockstep(law, returns, 128))
    assert rows.tolist() == [0, *range(3, LANES + 2)]
    assert not in_lockstep(law, returns, 127).any()
    assert not in_lockstep(law, returns, LARGEST + 1).any()
    assert not in_lockstep(law[3:LANES], returns[3:LANES], 128).any()
