"""Streams of random numbers: a purpose and a seed for each, and blocks of seeds for experiments."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from theory_check.errors import InvalidArgumentError, is_integer, require_positive_integer

SEEDS_PER_BLOCK = 10_000
"""Most replicates of a cell; a seed less its block's first is the number of the replicate."""

BLOCKS = 10**8
"""Number of blocks that reported runs are spread over."""

RESERVED = range(10_000_000)
"""Seeds of no experiment: pilots, tuning, and what is run by hand."""

FIRST_TUNING_SEED = 1000
"""Tuning seeds count from here; reported ones are elsewhere, so that no seed does both."""


def require_replicates(argument: str, number: object) -> None:
    """Refuse what is no number of replicates that a block of seeds has."""
    require_positive_integer(argument, number)
    if not is_integer(number) or number > SEEDS_PER_BLOCK:
        raise InvalidArgumentError(
            argument, number, f"pass at most {SEEDS_PER_BLOCK}: as many as a block of seeds has"
        )


def require_apart(seeds: Sequence[int], tuning: range) -> None:
    """Refuse reported seeds that a measurement tunes with."""
    if shared := sorted(set(seeds) & set(tuning)):
        raise InvalidArgumentError(
            "seeds",
            shared[0],
            f"pass seeds outside {tuning.start} .. {tuning.stop - 1}: those are for tuning",
        )


def first_seed(experiment: str, label: str, instance: int | None = None) -> int:
    """Return the first seed of a problem of an experiment, the same for all of its grid.

    Cells that differ in the grid alone share their seeds, so that they can be compared seed by seed;
    all others draw different starts and samples. The block is a hash of the names: it does not
    depend on what else there is, nor on any order. Distinct names share a block with probability
    1e-8; a test compares those of all files that come with the package.

    Parameters
    ----------
    experiment
        Stem of the file.
    label
        Label of the problem.
    instance
        Number of the instance, where the label stands for a family.
    """
    named = "\0".join([experiment, label, *([] if instance is None else [str(instance)])])
    number = int.from_bytes(hashlib.sha256(named.encode()).digest()[:16], "little")
    return RESERVED.stop + SEEDS_PER_BLOCK * (number % BLOCKS)


def stream_entropy(purpose: str, seed: int) -> int:
    """Hash the named axes that should change randomness into generator entropy."""
    digest = hashlib.sha256(f"{purpose}|{seed}".encode()).digest()
    return int.from_bytes(digest[:16], "little")


def streams(purpose: str, seeds: Sequence[int]) -> list[np.random.Generator]:
    """Return one generator for each seed; of another purpose they draw other numbers."""
    return [np.random.default_rng(stream_entropy(purpose, seed)) for seed in seeds]


def standard_normals(
    purpose: str, seeds: Sequence[int], shape: int | Sequence[int]
) -> list[NDArray[np.float64]]:
    """Return standard normal numbers of a shape for each seed, each from its own stream."""
    return [stream.standard_normal(shape) for stream in streams(purpose, seeds)]
