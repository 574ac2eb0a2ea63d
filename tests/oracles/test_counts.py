"""Sums and multiples of sample counts."""

from __future__ import annotations

from theory_check.oracles.estimates.counts import SampleCounts


def test_counts_add_and_multiply_counter_by_counter() -> None:
    first = SampleCounts(env_steps=7, trajectories=5, labels=2)
    second = SampleCounts(env_steps=100, trajectories=30, labels=11)
    assert first + second == SampleCounts(env_steps=107, trajectories=35, labels=13)
    assert first.times(3) == SampleCounts(env_steps=21, trajectories=15, labels=6)
    assert (first + second).samples == first.samples + second.samples == 48
