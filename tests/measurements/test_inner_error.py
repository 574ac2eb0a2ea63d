"""The error of stopped inner loops against unrolled automatic differentiation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import naive
from helpers.generators import random_problem
from torch import Tensor

from theory_check.measurements.inner_error import InnerError, _displacements
from theory_check.oracles import ExactOracle
from theory_check.oracles.starts import initial_upper

PROBLEM = random_problem(52, (2, 2, 2), discount=0.9)
TABLES = naive.Tables(PROBLEM)
STEP, SCALE = 0.4, 0.6


def measure(seeds: list[int], **changes: object) -> object:
    settings = {
        "inner_steps": 12,
        "sigmas": (0.2, 0.01),
        "fixed_sigma": 0.1,
        "fixed_steps": 5,
        "inner_step_size": STEP,
        "points_per_decade": 4,
        "point_scale": SCALE,
    }
    return InnerError(**{**settings, **changes}).measure(PROBLEM, seeds, lambda done, total: None)  # type: ignore[arg-type]


def unrolled(phi: Tensor, start: Tensor, sigma: Tensor, steps: int) -> Tensor:
    """K gradient steps on ``sigma G - J``, differentiable in sigma."""
    logits = start.clone().requires_grad_()
    for _ in range(steps):
        loss = sigma * TABLES.upper(phi, logits) - TABLES.lower(phi, logits)
        (slope,) = torch.autograd.grad(loss, logits, create_graph=True)
        logits = logits - STEP * slope
    return logits


def in_upper(function: object, phi: Tensor, logits: Tensor) -> Tensor:
    point = phi.clone().requires_grad_()
    (slope,) = torch.autograd.grad(function(point, logits), point, create_graph=True)  # type: ignore[operator]
    return slope


@pytest.mark.every_case
@pytest.mark.slow
def test_every_row_is_the_unrolled_error() -> None:
    seeds = [3, 8]
    table = measure(seeds)
    oracle = ExactOracle(PROBLEM)
    reference = PROBLEM.reference_policy.log().reshape(-1)
    shifts = dict(zip(seeds, _displacements(seeds, reference.numel()), strict=True))
    assert table.groupby(["start", "sweep"]).size().to_dict() == {
        ("common", "sigma"): 4,
        ("common", "steps"): 12,
        ("separate", "sigma"): 4,
        ("separate", "steps"): 12,
    }
    for row in table.itertuples():
        phi = initial_upper([row.seed], PROBLEM.parameters, SCALE)[0]
        sigma = torch.tensor(row.sigma, dtype=torch.float64)
        start = reference + (shifts[row.seed] if row.start == "separate" else 0.0)
        lower = unrolled(phi, reference, torch.zeros_like(sigma), row.inner_iteration)
        penalised = unrolled(phi, start, sigma, row.inner_iteration)
        estimate = (
            in_upper(TABLES.upper, phi, penalised)
            + (in_upper(TABLES.lower, phi, lower) - in_upper(TABLES.lower, phi, penalised)) / sigma
        )
        error = estimate - oracle.penalised_gradient(phi, row.sigma)
        assert row.inner_error == pytest.approx(error.square().sum().item(), rel=1e-7)


def test_why_a_common_start_has_no_divisor_sigma() -> None:
    """The second route: with a common start the error has a limit, which is a derivative in sigma.

    As sigma falls, the penalty difference tends to minus the derivative of ``∂_phi J(lambda'_K)``
    with respect to sigma at 0, by unrolled differentiation, and ``∇Phi_sigma`` to ``∇Phi``. The
    remainder is O(sigma), so the distance to the limit shrinks tenfold with sigma.
    """
    phi = initial_upper([3], PROBLEM.parameters, SCALE)[0]
    reference = PROBLEM.reference_policy.log().reshape(-1)
    zero = torch.zeros((), dtype=torch.float64)
    response = torch.autograd.functional.jacobian(
        lambda sigma: in_upper(TABLES.lower, phi, unrolled(phi, reference, sigma, 5)), zero
    )
    direct = in_upper(TABLES.upper, phi, unrolled(phi, reference, zero, 5))
    limit = (direct - response - ExactOracle(PROBLEM).hypergradient(phi)).square().sum().item()
    table = measure([3], sigmas=(0.01, 0.001))
    common = table[(table.start == "common") & (table.sweep == "sigma")].inner_error.to_numpy()
    distances = np.abs(common - limit) / limit
    assert distances[0] < 0.1
    assert distances[0] / distances[1] == pytest.approx(10, rel=0.1)
    separate = table[(table.start == "separate") & (table.sweep == "sigma")].inner_error.to_numpy()
    assert separate[1] / separate[0] == pytest.approx(100, rel=0.1)


def test_displacements_belong_to_their_seed() -> None:
    together = _displacements([1, 2], 6)
    assert torch.equal(_displacements([2], 6)[0], together[1])
    assert not torch.equal(together[0], together[1])
