"""Networks: what they cannot represent, and whether runs reach the global value."""

from itertools import product

from theory_check.claims.base import Claim
from theory_check.claims.rates import InequalityRate
from theory_check.thresholds import VANISHED

ABSOLUTE, RELATIVE = 1e-3, 1e-2
"""A gap to the global value, in nats and as a share of the gap at the start, that counts as none."""

CLASSES = {
    "policy": r"$\min_\lambda J^* - J(\lambda)$",
    "reward": r"$\min_\phi\,\mathrm{excess\ risk}$",
}
ACTIVATIONS = ("tanh", "gelu")


def _rates(parametric_class: str, symbol: str, activation: str) -> tuple[InequalityRate, ...]:
    where = {"parametric_class": parametric_class, "activation": activation}
    return (
        InequalityRate(
            name=f"{parametric_class}, {activation}: vanishes",
            x="width",
            y="largest_floor",
            low=None,
            high=VANISHED,
            allowed_share=0.0,
            x_symbol="$w$",
            y_symbol=symbol,
            where=where,
        ),
        # Starts from the narrower network make a rise impossible but for a fit that fails, so a fall
        # of 5 % is asked for: it is refuted where more units bring nothing.
        InequalityRate(
            name=f"{parametric_class}, {activation}: falls",
            x="width",
            y="floor_ratio",
            low=None,
            high=0.95,
            allowed_share=0.0625,
            x_symbol="$w$",
            y_symbol=r"$\epsilon_{\mathrm{bias}}(w)/\epsilon_{\mathrm{bias}}(w/2)$",
            where=where,
        ),
    )


NEURAL_BIAS = Claim(
    id="neural-bias",
    statement=(
        "the floor eps_bias of networks with one hidden layer falls from no unit to the smallest width "
        "and with every further width, by at least 5 % for 15 of 16 rewards, and is at most 1e-6 at "
        "the largest, for policies and for rewards"
    ),
    source="arXiv 2410.15610 and arXiv 2503.17644, eps_bias of the neural classes",
    provenance="S",
    kind="measured",
    otherwise="Yes: the class error cannot rise with the width, but that it falls by 5 % each time, "
    "to 1e-6, and that descent finds the fit, is not proved.",
    assumptions=(
        "every state has an observation of its own",
        "one hidden layer, whose widths are nested in each other",
    ),
    experiment="neural-bias",
    rates=tuple(
        rate
        for (parametric_class, symbol), activation in product(CLASSES.items(), ACTIVATIONS)
        for rate in _rates(parametric_class, symbol, activation)
    ),
)

GLOBAL_OPTIMALITY = Claim(
    id="global-optimality",
    statement=(
        "with neural policy and neural reward, Phi(phi_T) - Phi* of the reference solver falls below "
        "1e-3 nats and below 1 % of its start, from every random initialisation and at every width"
    ),
    source="arXiv 2410.15610, global convergence under weak gradient domination",
    provenance="R",
    kind="open",
    otherwise="Yes: no theorem covers these networks without assuming weak gradient domination, and a "
    "run can end at another stationary point.",
    assumptions=(
        "weak gradient domination, which makes stationary points global",
        "the networks represent the optimum",
        "batches so large that noise is negligible, and a small penalty weight",
    ),
    experiment="global-optimality",
    expected="open",
    rates=(
        InequalityRate(
            name="absolute",
            x="width",
            y="optimality_gap",
            low=None,
            high=ABSOLUTE,
            allowed_share=0.0,
            x_symbol="$w$",
            y_symbol=r"$\Phi(\phi_T)-\Phi^*$",
        ),
        InequalityRate(
            name="relative",
            x="width",
            y="relative_gap",
            low=None,
            high=RELATIVE,
            allowed_share=0.0,
            x_symbol="$w$",
            y_symbol=r"$(\Phi(\phi_T)-\Phi^*)/(\Phi(\phi_1)-\Phi^*)$",
        ),
    ),
)
