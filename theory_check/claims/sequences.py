"""Texts: bias, noise and schedules where rewards, or both classes, are transformers."""

from dataclasses import replace

from theory_check.claims import bias, gradient_noise, schedules

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
