"""Texts, where rewards, or both classes, are transformers: rates, needed samples, and what they reach."""

from dataclasses import replace

from theory_check.claims import (
    bias,
    central_difference,
    gradient_noise,
    neural,
    sample_complexity,
    schedules,
)

_TEXTS = " on texts, for linear rewards and for those of a transformer"

PENALTY_BIAS_SEQUENCES = replace(
    bias.PENALTY_BIAS,
    id="penalty-bias-sequences",
    statement="‖∇Phi_sigma - ∇Phi‖ = O(sigma) and |Phi_sigma - Phi| = O(sigma)" + _TEXTS,
    experiment="penalty-bias-sequences",
    audits=(),
)

GRADIENT_NOISE_SEQUENCES = replace(
    gradient_noise.GRADIENT_NOISE,
    id="gradient-noise-sequences",
    statement="E‖g_hat - E g_hat‖² = Theta(1/(sigma² n)) for independent batches" + _TEXTS,
    experiment="gradient-noise-sequences",
    audits=(),
)

GRADIENT_NOISE_COUPLED_SEQUENCES = replace(
    gradient_noise.GRADIENT_NOISE_COUPLED,
    id="gradient-noise-coupled-sequences",
    statement="E‖g_hat - E g_hat‖² = Theta(1/n), free of sigma, for one shared batch" + _TEXTS,
    experiment="gradient-noise-sequences",
    audits=(),
)

_SCHEDULES = ("total-3", "total-5/2", "total-2")

SCHEDULES_SEQUENCES = replace(
    schedules.SCHEDULE_3_NEURAL,
    id="schedules-sequences",
    statement="The schedules of schedule-3, schedule-5/2 and schedule-2 suffice on texts with "
    "transformers as policy and as reward",
    source="arXiv 2410.15610 (neural classes), with those schedules",
    kind="open",
    expected="open",
    otherwise="Yes: along runs the curvature of Phi in the parameters of the reward grows fivefold and "
    "the noise of its gradients 14-fold: constants that do at the starts need not do later.",
    experiment="schedules-sequences",
    rates=tuple(
        replace(schedules.SCHEDULE_3_RATE, name=schedule, where={"schedule": schedule})
        for schedule in _SCHEDULES
    ),
)

SCHEDULES_SEQUENCES_TABULAR = replace(
    SCHEDULES_SEQUENCES,
    id="schedules-sequences-tabular",
    statement="The schedules of schedule-3, schedule-5/2 and schedule-2 suffice on texts with all "
    "policies and linear rewards",
    source="docs/theory.md section 5.3, with those schedules",
    provenance="D",
    kind="measured",
    expected="holds",
    otherwise="Yes: the inner iterates of the shared batch have to stay O(sigma) apart along the run.",
    assumptions=(
        "∇Phi_sigma is Lipschitz uniformly in sigma",
        "the lower level converges linearly",
    ),
    experiment="schedules-sequences-tabular",
)

# Their perceptrons have gelu, as one of the two activations of that claim.
_FLOORS = tuple(
    replace(rate, name=rate.name.replace(", gelu", ""))
    for rate in neural.NEURAL_BIAS.rates
    if rate.where["activation"] == "gelu"
)

NEURAL_BIAS_SEQUENCES = replace(
    neural.NEURAL_BIAS,
    id="neural-bias-sequences",
    statement="The floor eps_bias of transformers with one layer falls from no network to the smallest "
    "width and with every doubling of it, by at least 5 % for every reward, and is at most 1e-6 at the "
    "largest, for policies and for rewards of texts",
    source="docs/theory.md section 5.7; eps_bias of arXiv 2410.15610, for other networks",
    provenance="D",
    assumptions=("one layer and one head, whose widths are contained in their doubles",),
    experiment="neural-bias-sequences",
    rates=_FLOORS,
)

NEURAL_BIAS_SEQUENCES_LAYERS = replace(
    NEURAL_BIAS_SEQUENCES,
    id="neural-bias-sequences-layers",
    statement="At width 3 the floor eps_bias of transformers falls with every further layer, by at least "
    "5 % for every reward, and is at most 1e-6 with three layers, for policies and for rewards of texts",
    kind="open",
    expected="open",
    otherwise="Yes: the class error cannot rise with the layers, but no theorem says that it falls, or "
    "that descent finds the fit.",
    assumptions=("one head, and layers that can be idle, so that classes contain each other",),
    experiment="neural-bias-sequences-layers",
    rates=tuple(
        replace(
            rate,
            x="layers",
            x_symbol="$l$",
            y_symbol=rate.y_symbol.replace("(w)", "(l)").replace("(w/2)", "(l-1)"),
        )
        for rate in _FLOORS
    ),
)

GLOBAL_OPTIMALITY_SEQUENCES = replace(
    neural.GLOBAL_OPTIMALITY,
    id="global-optimality-sequences",
    statement="with transformers as policy and as reward on texts, Phi(phi_T) - Phi* of the reference "
    "solver falls below 1e-3 nats and below 1 % of its start, from every random initialisation and at "
    "every width",
    experiment="global-optimality-sequences",
)

ATTAINED_SEQUENCES = replace(
    sample_complexity.ATTAINED_3,
    id="attained-sequences",
    statement="Tuned over K, sigma and the batch, the penalty method needs epsilon^-3 samples with "
    "independent batches, epsilon^(-5/2) with a central difference and epsilon^-2 with a shared batch on "
    "texts with transformers as policy and as reward",
    source="docs/theory.md section 5.12; the bounds are those of schedule-3, schedule-5/2 and schedule-2",
    kind="open",
    expected="open",
    otherwise="Yes: the bounds are no theorems for transformers, and over the first decade and a half "
    "runs need not be where they bind.",
    assumptions=(
        "one outer and one inner step, found on pilot runs",
        "one round of changes at every target finds a setting near the cheapest",
    ),
    experiment="attained-sequences",
    rates=tuple(
        replace(rate, name=name, minimum_decades=1.5)
        for name, rate in (
            ("independent", sample_complexity.INDEPENDENT_RATE),
            ("shared", sample_complexity.SHARED_RATE),
            ("central", central_difference.CENTRAL_RATE),
        )
    ),
)
