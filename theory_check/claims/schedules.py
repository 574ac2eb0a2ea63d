"""Schedules of the penalty method that suffice, and neighbours, an exponent too small, that do not."""

from dataclasses import replace

from theory_check.claims.base import Claim
from theory_check.claims.rates import ScheduleRate

SCHEDULE_3_RATE = ScheduleRate(
    name="half/target",
    x="epsilon",
    y="half_stationarity",
    noise="sampling_error",
    multiple=2.0,
    x_symbol=r"$\varepsilon$, target",
    y_symbol=r"$\|\nabla\Phi\|^2$, mean of the second half",
    where={"schedule": "total-3"},
)

SCHEDULE_3 = Claim(
    id="schedule-3",
    statement="sigma = epsilon^(1/2), T = 1/epsilon, a constant step and n = B = epsilon^-2 keep the "
    "mean ‖∇Phi‖² of the second half below 2 epsilon at every target: O~(epsilon^-3) samples suffice",
    source="arXiv 2503.17644, headline; the schedule is that of arXiv 2509.02937, Theorem 3.1 at p = 1",
    provenance="S",
    kind="proved inequality",
    otherwise="Only by a defect or a failed assumption; how far below the bound it stays is measured.",
    assumptions=(
        "∇Phi_sigma is Lipschitz uniformly in sigma",
        "the lower level, and that of the penalised problem, satisfy PL and converge linearly",
    ),
    experiment="schedule-3",
    rates=(SCHEDULE_3_RATE,),
    audits=(
        "lower-pl",
        "error-bound",
        "weak-gradient-domination",
        "outer-step",
        "inner-step",
    ),
)

_LARGE = ", on 50 states over 20 steps, where trajectories are followed step by step"

SCHEDULE_3_LARGE = replace(
    SCHEDULE_3,
    id="schedule-3-large",
    statement="sigma = epsilon^(1/2), T = 1/epsilon, a constant step and n = B = epsilon^-2 keep the "
    "mean ‖∇Phi‖² of the second half below 2 epsilon" + _LARGE,
    experiment="schedule-3-large",
    audits=(),
)

NEURAL_OTHERWISE = (
    "Yes: a class error would be a floor, and neural lower levels are not proved to satisfy PL."
)

SCHEDULE_3_NEURAL = Claim(
    id="schedule-3-neural",
    statement="The schedule of schedule-3 suffices with neural policy and reward",
    source="arXiv 2410.15610 (neural classes), with the schedule of schedule-3",
    provenance="R",
    kind="measured",
    otherwise=NEURAL_OTHERWISE,
    assumptions=(
        "the policy class contains the optimum: its error would be a floor",
        "∇Phi_sigma is Lipschitz uniformly in sigma, in the parameters of the reward network",
        "the lower level converges linearly in the parameters of the policy network",
    ),
    experiment="schedule-3-neural",
    rates=(SCHEDULE_3_RATE,),
)

SCHEDULE_7_2 = Claim(
    id="schedule-7/2",
    statement="sigma = epsilon^(1/2), T = epsilon^(-3/2), a step of order sigma and n = B = "
    "epsilon^-2 keep the mean ‖∇Phi‖² of the second half below 2 epsilon at every target: "
    "O(epsilon^(-7/2)) samples suffice",
    source="arXiv 2410.15610, headline; its schedule reconstructed from arXiv 2309.01753",
    provenance="R",
    kind="proved inequality",
    otherwise="Only by a defect or a failed assumption: it asks more than schedule-3 does.",
    assumptions=(
        "∇Phi_sigma is Lipschitz with a constant of at most O(1/sigma)",
        "the lower level converges linearly",
    ),
    experiment="schedule-7-2",
    rates=(replace(SCHEDULE_3_RATE, where={"schedule": "total-7/2"}),),
    audits=(
        "lower-pl",
        "error-bound",
        "weak-gradient-domination",
        "outer-step",
        "inner-step",
    ),
)

SCHEDULE_2_RATE = replace(SCHEDULE_3_RATE, where={"schedule": "total-2"})

SCHEDULE_2 = Claim(
    id="schedule-2",
    statement="With one shared, reweighted batch, sigma = epsilon^(1/2), T = 1/epsilon, a constant "
    "step and n = B = 1/epsilon keep the mean ‖∇Phi‖² of the second half below 2 epsilon at every "
    "target: O~(epsilon^-2) samples suffice",
    source="docs/theory.md section 5.3, with the variance of section 4.4",
    provenance="D",
    kind="measured",
    otherwise="Yes: the inner iterates have to stay O(sigma) apart along the run, which nothing proves.",
    assumptions=(
        "lambda_sigma - lambda* = O(sigma), so that the policy ratios stay bounded",
        "∇Phi_sigma is Lipschitz uniformly in sigma",
        "the lower level converges linearly",
    ),
    experiment="schedule-2",
    rates=(SCHEDULE_2_RATE,),
    audits=(
        "lower-pl",
        "error-bound",
        "outer-step",
        "inner-step",
        "weak-gradient-domination",
        "policy-support",
    ),
)

SCHEDULE_2_LARGE = replace(
    SCHEDULE_2,
    id="schedule-2-large",
    statement="With one shared, reweighted batch, sigma = epsilon^(1/2), T = 1/epsilon, a constant step "
    "and n = B = 1/epsilon keep the mean ‖∇Phi‖² of the second half below 2 epsilon" + _LARGE,
    experiment="schedule-2-large",
    audits=(),
)

SCHEDULE_2_NEURAL = Claim(
    id="schedule-2-neural",
    statement="The schedule of schedule-2 suffices with neural policy and reward",
    source="arXiv 2410.15610 (neural classes), with the schedule of schedule-2",
    provenance="R",
    kind="measured",
    otherwise=NEURAL_OTHERWISE,
    assumptions=(
        "the policy class contains the optimum: its error would be a floor",
        "the log-policies of the two lower iterates differ by O(sigma), so that the policy ratios stay "
        "bounded",
        "∇Phi_sigma is Lipschitz uniformly in sigma, in the parameters of the reward network",
        "the lower level converges linearly in the parameters of the policy network",
    ),
    experiment="schedule-2-neural",
    rates=(SCHEDULE_2_RATE,),
)

CONTROL_FIXED_SIGMA = Claim(
    id="control-fixed-sigma",
    statement="A fixed sigma would do with coupling; the penalty bias sigma² is left as a floor.",
    source="docs/theory.md section 6.3",
    provenance="D",
    kind="measured",
    otherwise="No: the bias that a fixed sigma leaves is in closed form; only a defect of the judge "
    "could miss it.",
    assumptions=("none: the statement is false, and has to be found so",),
    experiment="control-fixed-sigma",
    # The rule is that of the claim it guards, or catching it would say nothing about that one.
    rates=(replace(SCHEDULE_2_RATE, where={"schedule": "control-fixed-sigma"}),),
    expected="violated",
)

CONTROL_SMALL_BATCH = Claim(
    id="control-small-batch",
    statement="Batches of order 1/epsilon would do without coupling; the noise 1/(sigma² n) of "
    "independent batches then does not fall, and a floor is left.",
    source="docs/theory.md section 6.3",
    provenance="D",
    kind="measured",
    otherwise="No: the noise that is left is in closed form; only a defect of the judge could miss it.",
    assumptions=("none: the statement is false, and has to be found so",),
    experiment="control-small-batch",
    # The rule is that of the claim it guards, or catching it would say nothing about that one.
    rates=(replace(SCHEDULE_2_RATE, where={"schedule": "control-small-batch"}),),
    expected="violated",
)

SCHEDULES_HARD = Claim(
    id="schedules-hard",
    statement="On plateau and valley the schedule of schedule-3 keeps the mean ‖∇Phi‖² of the second "
    "half below 2 epsilon, and so do batches of order epsilon^(-5/2) and epsilon^-3",
    source="docs/theory.md section 6.4",
    provenance="D",
    kind="proved inequality",
    otherwise="Only by a defect: bias, noise and progress are in closed form there.",
    assumptions=("the construction of section 6.4",),
    experiment="schedules-hard",
    rates=tuple(
        replace(SCHEDULE_3_RATE, name=schedule, where={"schedule": schedule})
        for schedule in ("total-3", "wasteful-7/2", "wasteful-4")
    ),
)

FORBIDDEN = (
    "control-batch-3/2",
    "control-small-batch",
    "control-sigma-1/4",
    "control-few-iterations",
)

CONTROL_SCHEDULES_HARD = Claim(
    id="control-schedules-hard",
    statement="On plateau and valley less would do: independent batches of order epsilon^(-3/2) or "
    "1/epsilon, sigma = epsilon^(1/4), or epsilon^(-1/2) iterations.",
    source="docs/theory.md section 6.4",
    provenance="D",
    kind="proved inequality",
    otherwise="No: every one of them leaves a term of the bound above the target; only a defect of "
    "the judge could miss it.",
    assumptions=("none: the statements are false, and have to be found so",),
    experiment="control-schedules-hard",
    # The rule is that of the claims it guards, or catching it would say nothing about them.
    rates=tuple(
        replace(SCHEDULE_3_RATE, name=schedule, where={"schedule": schedule})
        for schedule in FORBIDDEN
    ),
    expected="violated",
)

CONTROL_SMALL_BATCH_LARGE = replace(
    CONTROL_SMALL_BATCH,
    id="control-small-batch-large",
    statement="Independent batches of order 1/epsilon would do"
    + _LARGE
    + "; their noise does not fall.",
    experiment="control-small-batch-large",
    # The rule is that of the claim it guards, or catching it would say nothing about that one.
    rates=(replace(SCHEDULE_3_RATE, where={"schedule": "control-small-batch"}),),
)

SCHEDULE_7_2_HARD = replace(
    SCHEDULES_HARD,
    id="schedule-7/2-hard",
    statement="On plateau and valley the schedule of schedule-7/2 keeps the mean ‖∇Phi‖² of the "
    "second half below 2 epsilon",
    experiment="schedule-7-2-hard",
    rates=(replace(SCHEDULE_3_RATE, where={"schedule": "total-7/2"}),),
)

CONTROL_SCHEDULE_7_2_HARD = Claim(
    id="control-schedule-7/2-hard",
    statement="On plateau and valley 1/epsilon iterations would do with a step of order epsilon^(1/2);"
    " they do not cross the slope.",
    source="docs/theory.md section 6.4",
    provenance="D",
    kind="proved inequality",
    otherwise="No: what is left is in closed form; only a defect of the judge could miss it.",
    assumptions=("none: the statement is false, and has to be found so",),
    experiment="schedule-7-2-hard",
    # The rule is that of the claim it guards, or catching it would say nothing about that one.
    rates=(replace(SCHEDULE_3_RATE, where={"schedule": "control-short-7/2"}),),
    expected="violated",
)

SCHEDULE_2_HARD = replace(
    SCHEDULES_HARD,
    id="schedule-2-hard",
    statement="On plateau and valley the schedule of schedule-2 keeps the mean ‖∇Phi‖² of the second "
    "half below 2 epsilon",
    experiment="schedule-2-hard",
    rates=(replace(SCHEDULE_3_RATE, where={"schedule": "total-2"}),),
)

CONTROL_SCHEDULE_2_HARD = replace(
    CONTROL_SCHEDULE_7_2_HARD,
    id="control-schedule-2-hard",
    statement="On plateau and valley shared batches of order epsilon^(-1/2) would do;"
    " their noise does not fall with the target.",
    experiment="schedule-2-hard",
    # The rule is that of the claim it guards, or catching it would say nothing about that one.
    rates=(replace(SCHEDULE_3_RATE, where={"schedule": "control-shared-batch-1/2"}),),
)
