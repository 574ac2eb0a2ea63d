"""Expectations over pairs: the compiled kernel, the blocks of other devices, and known values."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import mpmath
import pytest
import torch
from torch import Tensor

from theory_check.oracles.comparisons.pairs import PairLoss

HALF = torch.tensor([[0.5, 0.5]], dtype=torch.float64)
PATHS = pytest.mark.parametrize("path", ["_compiled_moments", "_moments_by_blocks"])
OBJECTIVES = pytest.mark.parametrize("excess", [False, True])


def random_pairs(excess: bool, classes: int = 37) -> tuple[PairLoss, Tensor, Tensor]:
    """Return a loss, returns and laws of three replicates, the first near the truth."""
    generator = torch.Generator().manual_seed(classes)
    draw = torch.randn(4, classes, generator=generator, dtype=torch.float64)
    returns = torch.stack([draw[0] + 1e-3 * draw[1], 3 * draw[2], 20 * draw[3]])
    law = torch.rand(3, classes, generator=generator, dtype=torch.float64)
    return PairLoss(draw[0], excess), returns, law / law.sum(-1, keepdim=True)


@PATHS
@OBJECTIVES
def test_moments_are_plain_sums(path: str, excess: bool) -> None:
    loss, returns, law = random_pairs(excess)
    mean_loss, mean_residual = getattr(loss, path)(returns, law)
    for replicate, values in enumerate(returns.tolist()):
        for first, own in enumerate(values):
            expected_loss = expected_residual = 0.0
            for second, other in enumerate(values):
                true = (loss.true_returns[first] - loss.true_returns[second]).item()
                preferred = 1 / (1 + math.exp(-true))
                for sign, chance in ((1, preferred), (-1, 1 - preferred)):
                    surprise = math.log1p(math.exp(-sign * (own - other)))
                    if excess:
                        surprise += math.log(chance)
                    expected_loss += law[replicate, second].item() * chance * surprise
                model = 1 / (1 + math.exp(-(own - other)))
                expected_residual += law[replicate, second].item() * (model - preferred)
            # Losses of order one are summed; near the truth they cancel to 1e-7 in the reference.
            assert mean_loss[replicate, first].item() + loss.loss_of_equals == pytest.approx(
                expected_loss, rel=1e-13, abs=1e-15
            )
            assert mean_residual[replicate, first].item() == pytest.approx(
                expected_residual, rel=1e-13, abs=1e-15
            )


@OBJECTIVES
def test_both_paths_agree(excess: bool) -> None:
    loss, returns, law = random_pairs(excess, classes=300)
    compiled, blocks = loss._compiled_moments(returns, law), loss._moments_by_blocks(returns, law)
    # Relative, also near the truth, where the excess risk is of order 1e-7.
    torch.testing.assert_close(compiled[0], blocks[0], rtol=1e-12, atol=0)
    torch.testing.assert_close(compiled[1], blocks[1], rtol=1e-12, atol=1e-15)


@PATHS
@pytest.mark.parametrize("true_difference", [0.0, 0.7, -3.0])
@pytest.mark.parametrize("exponent", [-9, -6, -3, -2, -1])
def test_small_excess_risk_keeps_its_relative_precision(
    path: str, true_difference: float, exponent: int
) -> None:
    # KL(P* || P) = log(1 + p* (e^x - 1)) - p* x, x = D - D*: with 60 digits as a reference. 0.7 and
    # x are sums of few powers of two, so that D - D* is exact.
    excess = 2.0 ** round(exponent * math.log2(10))
    true_difference = float(torch.tensor(true_difference, dtype=torch.float16))
    loss = PairLoss(torch.tensor([true_difference, 0.0], dtype=torch.float64), excess=True)
    returns = torch.tensor([[true_difference + excess, 0.0]], dtype=torch.float64)
    assert (returns[0, 0] - true_difference).item() == excess
    found = getattr(loss, path)(returns, HALF)[0][0, 0].item()
    with localcontext() as context:
        context.prec = 60
        x, preferred = Decimal(excess), 1 / (1 + (-Decimal(true_difference)).exp())
        divergence = (1 + preferred * (x.exp() - 1)).ln() - preferred * x
    # At the boundary between series and logarithms, 0.02, both err by about 2e-12 relative.
    assert found == pytest.approx(float(divergence / 2), rel=1e-11)


@PATHS
@OBJECTIVES
@pytest.mark.parametrize("gap", [0.3, 19.0, 21.0, 35.0, 90.0, 900.0])
def test_loss_is_accurate_for_large_differences(path: str, gap: float, excess: bool) -> None:
    # Two classes, the whole law on the pair (0, 1) in expectation; log1p keeps exp(-21) = 8e-10.
    loss = PairLoss(torch.tensor([0.7, 0.0], dtype=torch.float64), excess=excess)
    returns = torch.tensor([[gap, 0.0]], dtype=torch.float64)
    value = (HALF * getattr(loss, path)(returns, HALF)[0]).sum().item() + loss.loss_of_equals
    preferred = 1 / (1 + math.exp(-0.7))
    expected = math.log1p(math.exp(-gap)) + (1 - preferred) * gap
    diagonal = math.log(2)
    if excess:
        expected += preferred * math.log(preferred) + (1 - preferred) * math.log(1 - preferred)
        diagonal = 0.0
    assert value == pytest.approx((expected + diagonal) / 2, rel=1e-14)


@PATHS
@OBJECTIVES
@pytest.mark.parametrize("scale", [1e-1, 3e-2, 1e-3, 1e-6, 1e-12])
def test_tiny_returns_keep_their_relative_precision(path: str, excess: bool, scale: float) -> None:
    # Differences of numbers near 1/2, or near log 2: with 60 digits as a reference.
    truth, model = [0.7 * scale, 0.0, -1.3 * scale], [-0.4 * scale, 0.0, 0.9 * scale]
    loss = PairLoss(torch.tensor(truth, dtype=torch.float64), excess=excess)
    returns = torch.tensor([model], dtype=torch.float64)
    law = torch.tensor([[0.25, 0.25, 0.5]], dtype=torch.float64)
    mean_loss, mean_residual = getattr(loss, path)(returns, law)
    with mpmath.workdps(60):
        for first in range(3):
            expected_loss = expected_residual = mpmath.mpf(0)
            for second, weight in enumerate(law[0].tolist()):
                difference = mpmath.mpf(model[first]) - mpmath.mpf(model[second])
                true = mpmath.mpf(truth[first]) - mpmath.mpf(truth[second])
                preferred = 1 / (1 + mpmath.exp(-true))
                surprise = mpmath.log(1 + mpmath.exp(-difference)) + (1 - preferred) * difference
                if excess:
                    surprise += preferred * mpmath.log(preferred)
                    surprise += (1 - preferred) * mpmath.log(1 - preferred)
                else:
                    surprise -= mpmath.log(2)
                expected_loss += weight * surprise
                expected_residual += weight * (1 / (1 + mpmath.exp(-difference)) - preferred)
            # Terms of both signs are added: relative to the larger of them. The divergence is
            # summed to the sixth cumulant.
            size = scale**2
            tolerance = 1e-11 if excess and scale > 0.01 else 1e-14
            assert abs(mean_loss[0, first].item() - float(expected_loss)) <= tolerance * size
            assert abs(mean_residual[0, first].item() - float(expected_residual)) <= 1e-13 * scale


@PATHS
def test_a_replicate_that_is_not_finite_spoils_itself_only(path: str) -> None:
    loss, returns, law = random_pairs(False)
    sound = getattr(loss, path)(returns, law)
    returns[1, 3] = torch.nan
    broken = getattr(loss, path)(returns, law)
    for expected, found in zip(sound, broken, strict=True):
        assert torch.equal(expected[[0, 2]], found[[0, 2]])
        assert torch.isnan(found[1, 3])
