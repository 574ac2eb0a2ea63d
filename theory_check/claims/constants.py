"""How the constants of the bounds depend on the problem: KL weight, horizon, discount, states, actions.

What the sources state is read at fixed coverage, ``min pi*`` held fixed, and with the Lipschitz
constants of both levels held fixed (``docs/theory.md`` section 5.14); what is derived there holds
neither fixed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from theory_check.claims.base import Claim
from theory_check.claims.rates import InequalityRate, UpperBoundRate


@dataclass(frozen=True)
class _Sweep:
    """The constant of the problem that an experiment varies."""

    x: str
    symbol: str
    reciprocal: bool = False

    def bound(self, quantity: str, exponent: float, rivals: tuple[float, ...]) -> UpperBoundRate:
        """Return that a quantity grows at most with this exponent."""
        name, symbol = _QUANTITIES[quantity]
        return UpperBoundRate(
            name=name,
            x=self.x,
            y=quantity,
            exponent=exponent,
            reciprocal=self.reciprocal,
            limit="zero" if self.reciprocal else "infinity",
            better="smaller",
            resolution=0.1,
            rivals=rivals,
            y_units="value",
            x_symbol=self.symbol,
            y_symbol=symbol,
        )


_QUANTITIES: Mapping[str, tuple[str, str]] = {
    "value_bias": ("value bias", r"$|\Phi_\sigma - \Phi| / \sigma$"),
    "gradient_bias": ("gradient bias", r"$\|\nabla\Phi_\sigma - \nabla\Phi\| / \sigma$"),
    "smoothness": ("smoothness", r"$\|\nabla^2\Phi\|$"),
    "independent_noise": ("noise, independent", r"$\sigma^2 n\,\mathbb{V}$, independent"),
    "shared_noise": ("noise, shared", r"$n\,\mathbb{V}$, shared"),
    "log_coverage": ("log coverage", r"$\log\max\,\pi_{\mathrm{ref}} / \pi^*$"),
    "curvature": ("lower curvature", r"$\|\nabla^2 g\|$"),
    "inner_time": ("inner steps at 1/L", r"$1 / (1 - \rho)$, step $1/L$"),
    "step_time": ("inner steps at 1/beta_s", r"$1 / (1 - \rho)$, step $1/\beta_s$"),
    "log_inner_time": ("log inner steps", r"$\log\, 1 / (1 - \rho)$, step $1/L$"),
}

_KL = _Sweep("kl_weight", r"$1/\beta$", reciprocal=True)
_HORIZON = _Sweep("effective_horizon", "$H$")
_DISCOUNT = _Sweep("effective_horizon", r"$1/(1-\gamma)$")
_STATES = _Sweep("states", "$S$")
_ACTIONS = _Sweep("actions", "$A$")

_OF_PENALTY = "arXiv 2309.01753 (bias sigma/mu³ and sigma/mu), 2306.14853 (smoothness kappa³)"
_READ = "read at fixed coverage, with mu the smallest curvature of the lower level at lambda*"
_ONLY_LOOSE = (
    "Only upwards: a bound can be refuted by growth with a larger exponent, and be found loose "
    "by growth with a smaller one."
)
_ONLY_DERIVED = (
    "Only by a mistake in the derivation, or because the range is not yet that of the limit; "
    "where it is found loose it says so."
)
_FIXED_UNITS = "rewards bounded by a constant, features in units of their largest norm"
_TABULAR = "linear rewards, tabular policies, KL weight greater than 0"

KL_STATED = Claim(
    id="constants-kl-stated",
    statement="in 1/beta the constants of the bias of ∇Phi_sigma and of the smoothness of Phi "
    "grow at most with the exponent 3, that of the bias of Phi_sigma with 1",
    source=f"{_OF_PENALTY}, {_READ}",
    provenance="S",
    kind="proved inequality",
    otherwise=_ONLY_LOOSE,
    assumptions=(_FIXED_UNITS, _TABULAR, "mu = beta times what coverage leaves, coverage fixed"),
    experiment="constants-kl",
    rates=(
        _KL.bound("gradient_bias", 3.0, (2.0, 4.0)),
        _KL.bound("smoothness", 3.0, (2.0, 4.0)),
        _KL.bound("value_bias", 1.0, (0.0, 2.0)),
    ),
)

KL = Claim(
    id="constants-kl",
    statement="in 1/beta the exponents are at most 2 for the bias of ∇Phi_sigma, the smoothness "
    "of Phi and the noise with a shared batch, 1 for the bias of Phi_sigma and 0 for the noise "
    "with independent batches and the largest curvature of g, whatever the coverage; and "
    "|Phi_sigma - Phi| <= sigma range(loss)² / (4 beta)",
    source="docs/theory.md section 5.14",
    provenance="D",
    kind="proved inequality",
    otherwise=_ONLY_DERIVED,
    assumptions=(_FIXED_UNITS, _TABULAR),
    experiment="constants-kl",
    rates=(
        _KL.bound("gradient_bias", 2.0, (1.0, 3.0)),
        _KL.bound("smoothness", 2.0, (1.0, 3.0)),
        _KL.bound("value_bias", 1.0, (0.0, 2.0)),
        _KL.bound("shared_noise", 2.0, (0.0, 3.0)),
        _KL.bound("independent_noise", 0.0, (1.0,)),
        _KL.bound("curvature", 0.0, (1.0,)),
        InequalityRate(
            name="value bias over its bound",
            x="kl_weight",
            y="value_share",
            low=None,
            high=1.0,
            allowed_share=0.0,
            x_symbol=r"$\beta$",
            y_symbol=r"$4\beta\,|\Phi_\sigma - \Phi| / (\sigma\,\mathrm{range}^2)$",
        ),
    ),
)

KL_COVERAGE = Claim(
    id="constants-kl-coverage",
    statement="max pi_ref/pi* and the inner steps for a factor e of the gap grow at most like "
    "exp(c/beta): their logarithms have the exponent 1 in 1/beta",
    source="docs/theory.md section 5.14",
    provenance="D",
    kind="proved inequality",
    otherwise="Only by a defect: a logarithm of pi*/pi_ref is a difference of values over beta. "
    "That it is attained is measured.",
    assumptions=(_FIXED_UNITS, _TABULAR),
    experiment="constants-kl",
    rates=(
        _KL.bound("log_coverage", 1.0, (0.0, 2.0)),
        _KL.bound("log_inner_time", 1.0, (0.0, 2.0)),
    ),
)

HORIZON_STATED = Claim(
    id="constants-horizon-stated",
    statement="in the horizon the largest curvature of g grows at most with the exponent 3 "
    "(beta_s), the smoothness of Phi with 9 (kappa³)",
    source="arXiv 2005.06392, Lemmas 7 and 14 (discounted; carried over to episodes); "
    "2306.14853 (kappa³), "
    f"{_READ}",
    provenance="R",
    kind="proved inequality",
    otherwise=_ONLY_LOOSE,
    assumptions=(_FIXED_UNITS, _TABULAR, "coverage fixed"),
    experiment="constants-horizon",
    rates=(_HORIZON.bound("curvature", 3.0, (1.0, 2.0)), _HORIZON.bound("smoothness", 9.0, (4.5,))),
)

HORIZON = Claim(
    id="constants-horizon",
    statement="in the horizon the exponents are at most 2 for the bias of Phi_sigma, 4 for that "
    "of ∇Phi_sigma, 9/2 for the smoothness of Phi, 2 and 4 for the noise with independent and "
    "shared batches, and 1 for the logarithm of the coverage",
    source="docs/theory.md section 5.14",
    provenance="D",
    kind="proved inequality",
    otherwise=_ONLY_DERIVED,
    assumptions=(_FIXED_UNITS, _TABULAR, "no discount"),
    experiment="constants-horizon",
    rates=(
        _HORIZON.bound("value_bias", 2.0, (1.0, 3.0)),
        _HORIZON.bound("gradient_bias", 4.0, (3.0,)),
        _HORIZON.bound("smoothness", 4.5, (9.0,)),
        _HORIZON.bound("independent_noise", 2.0, (1.0, 3.0)),
        _HORIZON.bound("shared_noise", 4.0, (2.0, 5.0)),
        _HORIZON.bound("log_coverage", 1.0, (0.0, 2.0)),
    ),
)

DISCOUNT_STATED = Claim(
    id="constants-discount-stated",
    statement="in 1/(1-gamma) the largest curvature of g (beta_s) and the inner steps at the "
    "step 1/beta_s grow at most with the exponent 3, the smoothness of Phi with 9 (kappa³)",
    source=f"arXiv 2005.06392, Lemmas 7 and 14, Theorem 6; 2306.14853 (kappa³), {_READ}",
    provenance="R",
    kind="proved inequality",
    otherwise=_ONLY_LOOSE,
    assumptions=(_FIXED_UNITS, _TABULAR, "coverage fixed, but for what the discount does to it"),
    experiment="constants-discount",
    rates=(
        _DISCOUNT.bound("curvature", 3.0, (1.0, 2.0)),
        _DISCOUNT.bound("step_time", 3.0, (2.0, 4.0)),
        _DISCOUNT.bound("smoothness", 9.0, (3.5,)),
    ),
)

DISCOUNT = Claim(
    id="constants-discount",
    statement="in 1/(1-gamma) the exponents are at most 0 for the bias of Phi_sigma, 7/2 for "
    "the smoothness of Phi, 2 for the noise with either coupling, and 1 for the logarithm of "
    "the coverage",
    source="docs/theory.md section 5.14",
    provenance="D",
    kind="proved inequality",
    otherwise=_ONLY_DERIVED,
    assumptions=(_FIXED_UNITS, _TABULAR, "segments of one step"),
    experiment="constants-discount",
    rates=(
        _DISCOUNT.bound("value_bias", 0.0, (1.0,)),
        _DISCOUNT.bound("smoothness", 3.5, (9.0,)),
        _DISCOUNT.bound("independent_noise", 2.0, (1.0, 3.0)),
        _DISCOUNT.bound("shared_noise", 2.0, (1.0, 3.0)),
        _DISCOUNT.bound("log_coverage", 1.0, (0.0, 2.0)),
    ),
)


def _stated_in(sweep: _Sweep) -> tuple[UpperBoundRate, ...]:
    """Return what the sources state in the number of states or actions, mu falling like its inverse."""
    return (
        sweep.bound("value_bias", 1.0, (0.0, 2.0)),
        sweep.bound("gradient_bias", 3.0, (0.0, 4.0)),
        sweep.bound("smoothness", 3.0, (0.0, 4.0)),
        sweep.bound("step_time", 2.0, (1.0, 3.0)),
    )


def _free_of(sweep: _Sweep) -> tuple[UpperBoundRate, ...]:
    """Return that neither biases nor smoothness nor noises grow."""
    return tuple(
        sweep.bound(quantity, 0.0, (1.0,))
        for quantity in (
            "value_bias",
            "gradient_bias",
            "smoothness",
            "independent_noise",
            "shared_noise",
        )
    )


_SIZES_STATED = (
    f"{_OF_PENALTY}, 2005.06392 Lemma 15 and Theorem 6 (inner steps), {_READ}, which falls like "
    "1/(S A)"
)
_GROWTH = (
    "the bias of Phi_sigma grows at most with the exponent 1, the bias of ∇Phi_sigma and the "
    "smoothness of Phi with 3, the inner steps at 1/beta_s with 2"
)
_FREE = (
    "the constants of both biases, of the smoothness of Phi and of both noises do not grow with "
    "the number of "
)

STATES_STATED = Claim(
    id="constants-states-stated",
    statement=f"in the number of contexts {_GROWTH}",
    source=_SIZES_STATED,
    provenance="S",
    kind="proved inequality",
    otherwise=_ONLY_LOOSE,
    assumptions=(_FIXED_UNITS, _TABULAR, "contexts that are equally likely"),
    experiment="constants-states",
    rates=_stated_in(_STATES),
)

STATES = Claim(
    id="constants-states",
    statement=f"{_FREE}contexts; nor do the inner steps at 1/L",
    source="docs/theory.md section 5.14",
    provenance="D",
    kind="proved inequality",
    otherwise=_ONLY_DERIVED,
    assumptions=(_FIXED_UNITS, _TABULAR, "contexts that are equally likely"),
    experiment="constants-states",
    rates=(*_free_of(_STATES), _STATES.bound("inner_time", 0.0, (1.0,))),
)

STATES_GARNET = replace(
    STATES,
    id="constants-states-garnet",
    statement=f"{_FREE}states of an episodic Garnet",
    assumptions=(_FIXED_UNITS, _TABULAR, "no discount"),
    experiment="constants-states-garnet",
    rates=_free_of(_STATES),
)

ACTIONS_STATED = replace(
    STATES_STATED,
    id="constants-actions-stated",
    statement=f"in the number of actions {_GROWTH}",
    assumptions=(_FIXED_UNITS, _TABULAR, "a uniform reference policy"),
    experiment="constants-actions",
    rates=_stated_in(_ACTIONS),
)

ACTIONS = replace(
    STATES,
    id="constants-actions",
    statement=f"{_FREE}actions; the inner steps at 1/L grow at most with the exponent 1",
    assumptions=(_FIXED_UNITS, _TABULAR, "a uniform reference policy"),
    experiment="constants-actions",
    rates=(*_free_of(_ACTIONS), _ACTIONS.bound("inner_time", 1.0, (0.0, 2.0))),
)

CONTROL = Claim(
    id="control-constants",
    statement="in 1/beta the smoothness of Phi would grow at most with the exponent 1, and the "
    "logarithm of the coverage not at all",
    source="docs/theory.md section 5.14",
    provenance="D",
    kind="proved inequality",
    otherwise="No: both statements are false, by one power of beta.",
    assumptions=("none: the statement is false, and has to be found so",),
    experiment="constants-kl",
    rates=(_KL.bound("smoothness", 1.0, (2.0,)), _KL.bound("log_coverage", 0.0, (1.0,))),
    expected="violated",
)
