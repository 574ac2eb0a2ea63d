"""What networks of a given width cannot represent."""

from itertools import product

from theory_check.claims.base import Claim
from theory_check.claims.rates import InequalityRate

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
            y="largest_width_floor",
            low=None,
            high=1e-6,
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


CLAIM = Claim(
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
