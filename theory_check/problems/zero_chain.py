"""Lower-bound instance: a chain whose next link is seen only when a rare sample succeeds.

Variables x in R^T, ``y = (z, v)`` with z in R^T and one number v; ``eta`` is a length, ``c`` the
constant ``SCALE``::

    g(x, y) = |z - kappa x|² / (2 kappa) + v² / 2 + R,      R = b(z)² / 2 - b(z) psi(v)
    f(x, y) = H(z) - b(z) + ell(v)

with ``H = c eta² F(z / eta)`` a chain of T links, ``b = c eta² B(z / eta)`` the one link that follows
the present progress, ``psi(v) = v w(v / eta)`` and ``ell' = w``, w a cut-off. Then ``y*(x) = (kappa x,
b(kappa x))`` and ``Phi(x) = H(kappa x)``: f does not show the next link, and the lower level passes
it on through v. Samples of ∇g multiply R by a Bernoulli(p) variable over p, so that a method that has
the gradients of n lower-level samples at its disposal passes at most as many links as there were
successes among them (``docs/theory.md`` section 6.5).

Sources: the chain is that of Carmon, Duchi, Hinder and Sidford, 1710.11606; the bilevel construction
is due to Gu, Wu and Yang, 2609.21905. Steps, cut-off and scales are of this project.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from theory_check.errors import (
    InvalidArgumentError,
    require_scale,
    require_table,
    shortened,
)
from theory_check.kernels import zero_chain as kernel
from theory_check.problems.closed_form import ClosedFormProblem
from theory_check.problems.gradient_noise import Batch, BernoulliNoise, GradientNoise, require_noise
from theory_check.problems.zero_chain_bounds import (
    GAP_BOUND,
    SCALE,
    hidden_gradient_bound,
    least_curvature,
)

NEWTON_STEPS, HALVINGS = 60, 40
TOLERANCE = 1e-13
"""Largest component of the gradient at a minimiser that is certified."""


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class ZeroChainProblem(ClosedFormProblem):
    """The zero-chain family; see the module.

    Attributes
    ----------
    flat_at_start
        That the curvature of ``Phi`` is hidden where runs start, so that no step can be read off it.
    kappa
        Condition number of the lower level in z.
    epsilon
        Squared accuracy that the instance is for: ``‖∇Phi‖² > epsilon`` until the last coordinate
        of z has gone ``eta``.
    gap
        Delta: bound of ``Phi(0) - inf Phi``.
    margin
        ``‖∇Phi‖ / sqrt(epsilon)`` that is kept until then, at least 1.
    """

    flat_at_start: ClassVar[bool] = True

    kappa: float
    epsilon: float
    gap: float
    margin: float

    @property
    def links(self) -> int:
        """T, the number of links."""
        return self.upper_parameters

    @cached_property
    def length(self) -> float:
        """``eta = margin sqrt(epsilon) / (c kappa)``."""
        return _length(self.kappa, self.epsilon, self.margin)

    @cached_property
    def success_probability(self) -> float:
        """p: the least for which a sample of ∇g has a variance of at most ``noise²``; 1 without noise."""
        if self.noise == 0.0:
            return 1.0
        return min(1.0, (hidden_gradient_bound(self.length) / self.noise) ** 2)

    @cached_property
    def gradient_noise(self) -> GradientNoise:
        """Bernoulli errors of the part R of g."""
        return BernoulliNoise(
            self.hidden_gradient,
            self.success_probability,
            self.upper_parameters + self.lower_parameters,
        )

    @property
    def start(self) -> Float[Tensor, " upper"]:
        """Zero: no link is passed."""
        return torch.zeros(self.upper_parameters, dtype=torch.float64)

    @property
    def optimal_hyperobjective(self) -> float:
        """``inf Phi``, approached as all coordinates go to infinity, and attained nowhere.

        ``Q(a, b) > -e sqrt(2 pi e)`` everywhere and ``Q(1, b) > -sqrt(2 pi e)``; both are limits.
        """
        return -SCALE * self.length**2 * kernel.BELL_LIMIT * (1 + math.e * (self.links - 1))

    def instance_for(self, epsilon: float) -> ZeroChainProblem:
        """Return the member of the class with this accuracy, and the same kappa, Delta and noise."""
        found = zero_chain(
            kappa=self.kappa,
            epsilon=epsilon,
            gap=self.gap,
            noise=self.noise,
            margin=self.margin,
        )
        return replace(found, name=self.name)

    def progress(self, z: Float[Tensor, "replicate link"]) -> Float[Tensor, " replicate"]:
        """Return the number of the last coordinate of z that is not 0: links that were seen."""
        counts = torch.arange(1.0, self.links + 1, dtype=z.dtype)
        return ((z != 0) * counts).amax(-1)

    def upper_gradients(
        self, x: Float[Tensor, "replicate upper"], y: Float[Tensor, "replicate lower"]
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, "replicate lower"]]:
        """Return ``(0, (∇H - ∇b, w))``."""
        found = kernel.visible_gradient(_array(y), self.length, SCALE)
        return torch.zeros_like(x), torch.from_numpy(found)

    def lower_gradients(
        self, x: Float[Tensor, "replicate upper"], y: Float[Tensor, "replicate lower"]
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, "replicate lower"]]:
        """Return ``(∂_x g, ∂_y g)``."""
        in_upper, in_lower = kernel.lower_gradients(
            _array(x), _array(y), self.kappa, self.length, SCALE
        )
        return torch.from_numpy(in_upper), torch.from_numpy(in_lower)

    def hidden_gradient(
        self, y: Float[Tensor, "replicate lower"]
    ) -> Float[Tensor, "replicate lower"]:
        """Return ``∇R``, the only part of ∇g that is random."""
        return torch.from_numpy(kernel.hidden_gradient(_array(y), self.length, SCALE))

    def hyperobjective(self, x: Float[Tensor, "replicate upper"]) -> Float[Tensor, " replicate"]:
        """Return ``Phi(x) = H(kappa x)``."""
        return self._chain(self.kappa * x)[0]

    def hypergradient(
        self, x: Float[Tensor, "replicate upper"]
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``kappa ∇H(kappa x)``."""
        return self.kappa * self._chain(self.kappa * x)[1]

    def sampled_hypergradient(
        self, x: Float[Tensor, "replicate upper"], batch: Batch
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``kappa (∇H + error ∇b)``: the hypergradient with the same Bernoulli samples.

        Parameters
        ----------
        x
            Upper variables.
        batch
            What ``gradient_noise.lower_batch`` returns.
        """
        return self.hypergradient(x) + batch * self.kappa * self._frontier(self.kappa * x)[1]

    def lower_minimiser(
        self, x: Float[Tensor, "replicate upper"]
    ) -> Float[Tensor, "replicate lower"]:
        """Return ``(kappa x, b(kappa x))``."""
        z = self.kappa * x
        return torch.cat([z, self._frontier(z)[0][:, None]], dim=1)

    def pull_back_through_minimiser(
        self, x: Float[Tensor, "replicate upper"], cotangent: Float[Tensor, "replicate lower"]
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``kappa (cotangent_z + cotangent_v ∇b(kappa x))``."""
        gradient = self._frontier(self.kappa * x)[1]
        return self.kappa * (cotangent[:, :-1] + cotangent[:, -1:] * gradient)

    def implied_upper(
        self, y: Float[Tensor, "replicate lower"]
    ) -> Float[Tensor, "replicate upper"]:
        """Return ``z / kappa``: the x whose ``y*(x)`` has the z of y, whatever its v.

        The x whose ``y*(x)`` is nearest in v as well has no closed form. Both agree where v = b(z).
        """
        return y[:, :-1] / self.kappa

    def pull_back_through_implied_upper(
        self, cotangent: Float[Tensor, "replicate upper"]
    ) -> Float[Tensor, "replicate lower"]:
        """Return ``(cotangent / kappa, 0)``."""
        return torch.cat([cotangent / self.kappa, torch.zeros_like(cotangent[:, :1])], dim=1)

    def lower_curvature(
        self,
        x: Float[Tensor, "replicate upper"],
        y: Float[Tensor, "replicate lower"],
        vector: Float[Tensor, "replicate lower"],
    ) -> tuple[Float[Tensor, "replicate upper"], Float[Tensor, "replicate lower"]]:
        """Return ``(∇²_xy g u, ∇²_yy g u)``."""
        z, along, across = y[:, :-1], vector[:, :-1], vector[:, -1]
        value, gradient = self._frontier(z)
        passed_on, slope, bend = self._passed_on(y[:, -1])
        turned = self._curvature(kernel.frontier_curvature, z, along)
        change = (gradient * along).sum(-1)
        in_z = (
            along / self.kappa
            + (value - passed_on)[:, None] * turned
            + (change - slope * across)[:, None] * gradient
        )
        in_v = (1 - value * bend) * across - slope * change
        return -along, torch.cat([in_z, in_v[:, None]], dim=1)

    def penalised_minimiser(
        self, x: Float[Tensor, "replicate upper"], sigma: float
    ) -> Float[Tensor, "replicate lower"]:
        """Return the minimiser of ``sigma f + g`` that Newton's method reaches from ``y*(x)``.

        For ``sigma < 1 / (2 kappa)`` the function is strongly convex, and there is no other. A replicate
        is NaN where the gradient does not fall below 1e-13 at a point with a positive definite Hessian.
        """
        y = self.lower_minimiser(x)
        if sigma == 0.0:
            return y
        for _ in range(NEWTON_STEPS):
            slope = self._penalised_gradient(x, y, sigma)
            if slope.abs().max() <= TOLERANCE:
                break
            step = torch.linalg.solve(self._penalised_hessian(x, y, sigma), slope)
            y = self._shortened(x, y, step, sigma)
        certified = self._penalised_gradient(x, y, sigma).abs().amax(-1) <= TOLERANCE
        hessian = self._penalised_hessian(x, y, sigma)
        certified &= torch.linalg.cholesky_ex(hessian).info == 0
        return torch.where(certified[:, None], y, torch.nan)

    def lower_gap(
        self, x: Float[Tensor, "replicate upper"], y: Float[Tensor, "replicate lower"]
    ) -> Float[Tensor, " replicate"]:
        """Return ``g(x, y)``, whose minimum is 0."""
        value = self._frontier(y[:, :-1])[0]
        passed_on = self._passed_on(y[:, -1])[0]
        quadratic = (y[:, :-1] - self.kappa * x).square().sum(-1) / self.kappa
        return 0.5 * (quadratic + y[:, -1].square() + value.square()) - value * passed_on

    def _chain(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return H and its gradient."""
        value, gradient = kernel.chain(_array(z / self.length))
        return self._scaled(value, gradient)

    def _frontier(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return b and its gradient."""
        value, gradient = kernel.frontier(_array(z / self.length))
        return self._scaled(value, gradient)

    def _scaled(self, value: object, gradient: object) -> tuple[Tensor, Tensor]:
        height = SCALE * self.length**2
        return height * torch.from_numpy(value), height / self.length * torch.from_numpy(gradient)

    def _curvature(self, product: object, z: Tensor, vector: Tensor) -> Tensor:
        """Return the product of a Hessian of the kernel with a vector, scaled."""
        found = product(_array(z / self.length), _array(vector))  # type: ignore[operator]
        return SCALE * torch.from_numpy(found)

    def _passed_on(self, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``psi(v) = v w(v / eta)`` and two derivatives."""
        value, slope, bend = _cut_off(v / self.length)
        relative = v / self.length
        return v * value, value + relative * slope, (2 * slope + relative * bend) / self.length

    def _penalised_gradient(self, x: Tensor, y: Tensor, sigma: float) -> Tensor:
        return sigma * self.upper_gradients(x, y)[1] + self.lower_gradients(x, y)[1]

    def _penalised_hessian(self, x: Tensor, y: Tensor, sigma: float) -> Tensor:
        """``∇²_yy (sigma f + g)`` of every replicate, its columns from products with the axes."""
        replicates, size = y.shape
        at_x, at_y = (part.repeat_interleave(size, dim=0) for part in (x, y))
        axes = torch.eye(size, dtype=y.dtype).repeat(replicates, 1)
        columns = self.lower_curvature(at_x, at_y, axes)[1]
        z, along = at_y[:, :-1], axes[:, :-1]
        visible = self._curvature(kernel.chain_curvature, z, along)
        visible = visible - self._curvature(kernel.frontier_curvature, z, along)
        bent = _cut_off(at_y[:, -1])[1] * axes[:, -1]
        columns = columns + sigma * torch.cat([visible, bent[:, None]], dim=1)
        return columns.reshape(replicates, size, size)

    def _shortened(self, x: Tensor, y: Tensor, step: Tensor, sigma: float) -> Tensor:
        """Return ``y - t step`` with t halved until the gradient gets smaller."""
        before = self._penalised_gradient(x, y, sigma).norm(dim=-1)
        share = torch.ones_like(before)
        for _ in range(HALVINGS):
            after = self._penalised_gradient(x, y - share[:, None] * step, sigma).norm(dim=-1)
            # Where both are rounding, the full step is as good as any.
            worse = (after > before) & (before > TOLERANCE)
            if not worse.any():
                break
            share = torch.where(worse, share / 2, share)
        return y - share[:, None] * step


def _cut_off(v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return w, its slope and its curvature."""
    value, slope, bend = torch.from_numpy(kernel.cut_off(_array(v)))
    return value, slope, bend


def _array(values: Tensor) -> object:
    """Return the numbers as a contiguous array, as compiled loops take them."""
    return values.contiguous().numpy()


def _length(kappa: float, epsilon: float, margin: float) -> float:
    return margin * math.sqrt(epsilon) / (SCALE * kappa)


def zero_chain(
    *,
    kappa: float = 2.0,
    epsilon: float = 1e-7,
    gap: float = 1.5e-3,
    noise: float = 4e-3,
    margin: float = 1.0,
) -> ZeroChainProblem:
    """Build the lower-bound instance for one accuracy.

    Parameters
    ----------
    kappa
        Condition number of the lower level, at least 1.
    epsilon
        Squared accuracy that the instance is for.
    gap
        Delta > 0: ``T`` is the largest number of links for which ``Phi(0) - inf Phi <= Delta``
        follows from ``F(0) - inf F <= 12 T``.
    noise
        Bound of the standard deviation of one sample of ∇g, as a vector, at least 0.
    margin
        ``‖∇Phi‖ / sqrt(epsilon)`` that is kept until the last link is passed, at least 1. 1 decides about
        every run; the theorem, which speaks about means, takes 4.
    """
    require_noise(noise)
    for argument, value in (
        ("epsilon", epsilon),
        ("gap", gap),
        ("kappa", kappa),
        ("margin", margin),
    ):
        require_scale(argument, value)
    for argument, value in (("kappa", kappa), ("margin", margin)):
        if value < 1:
            raise InvalidArgumentError(
                argument, shortened(value), "pass a finite number of at least 1"
            )
    length = _length(kappa, epsilon, margin)
    if least_curvature(kappa, length) < 1 / (2 * kappa):
        raise InvalidArgumentError(
            "epsilon",
            shortened(epsilon),
            "pass a smaller accuracy: here the lower level need not be strongly convex "
            "(docs/theory.md section 6.5)",
        )
    # A whole number of links up to rounding is that number.
    links = math.floor(gap / (GAP_BOUND * SCALE * length**2) * (1 + 1e-9))
    if links < 1:
        raise InvalidArgumentError(
            "gap",
            shortened(gap),
            f"pass at least {GAP_BOUND * SCALE * length**2:.3g}, for one link",
        )
    require_table("epsilon", epsilon, links)
    return ZeroChainProblem(
        name="zero-chain",
        upper_parameters=links,
        lower_parameters=links + 1,
        noise=float(noise),
        kappa=float(kappa),
        epsilon=float(epsilon),
        gap=float(gap),
        margin=float(margin),
    )
