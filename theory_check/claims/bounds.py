"""Bounds as curves with their constants: nothing is fitted, and one point above refutes."""

from dataclasses import replace

from theory_check.claims.base import Claim
from theory_check.claims.rates import CurveRate

_STEPS = r"$k$"
_EXACT_POLICY = "tabular softmax policy and exact gradients"

INNER_CURVE_RATE = CurveRate(
    name="every step",
    x="inner_iteration",
    y="lower_gap",
    bound="bound",
    x_symbol=_STEPS,
    y_symbol=r"$J^* - J(\lambda_k)$",
    where={"resolved": True},
)

INNER_CURVE = Claim(
    id="inner-curve",
    statement="KL-regularised policy gradient with the step 1/beta_s: J* - J(lambda_k) <= "
    "(J* - J(lambda_0)) prod_{j<k} (1 - C(lambda_j)² / (2 beta_s)), C of section 5.4, "
    "beta_s = (8 R + beta (4 + 8 log A)) / (1-gamma)^3",
    source="docs/theory.md section 5.13, with the smoothness of arXiv 2005.06392, Lemmas 7 and 14",
    provenance="D",
    kind="proved inequality",
    otherwise="Only by a defect: smoothness and inequality hold at every policy, the start included.",
    assumptions=(
        _EXACT_POLICY,
        "KL weight greater than 0, every state that is decided in is reached",
    ),
    experiment="inner-curve",
    rates=(INNER_CURVE_RATE,),
)

CONTROL_INNER_CURVE = Claim(
    id="control-inner-curve",
    statement="With 4.4 times C² in every factor the same would hold; at two actions of nearly equal "
    "reward a step gains 4 times what its factor says.",
    source="docs/theory.md section 5.13",
    provenance="D",
    kind="proved inequality",
    otherwise="No: the statement is false near the uniform policy of two actions, by a closed form.",
    assumptions=("none: the statement is false, and has to be found so",),
    experiment="control-inner-curve",
    rates=(
        replace(INNER_CURVE_RATE, name="every step, 4.4 times the gain", bound="planted_bound"),
    ),
    expected="violated",
)

BANDIT_RATE = CurveRate(
    name="every step",
    x="inner_iteration",
    y="gap",
    bound="bound",
    x_symbol=_STEPS,
    y_symbol=r"$\max r - \pi_k^\top r$",
)

BANDIT_CURVE = Claim(
    id="bandit-curve",
    statement="One state, no KL term, rewards in [0, 1], step 2/5, one optimal action: the gap after k "
    "steps is at most 5/(k c_k²), c_k the smallest probability of the optimal action so far",
    source="arXiv 2005.06392, Theorem 2",
    provenance="S",
    kind="proved inequality",
    otherwise="Only by a defect: the theorem covers every such start.",
    assumptions=(_EXACT_POLICY, "one state, one optimal action"),
    experiment="bandit-curve",
    rates=(
        replace(
            BANDIT_RATE,
            name="constant of the source",
            bound="bound_of_source",
            where={"optimal_actions": 1},
        ),
    ),
)

BANDIT_CURVE_STEPS = Claim(
    id="bandit-curve-steps",
    statement="The same, ties included: 1/gap_k >= 1/gap_0 + sum_{j<k} kappa_j / 5, kappa = sum pi(a*)² "
    "+ (sum pi(a*))² / (A - m) over the m optimal actions",
    source="docs/theory.md section 5.13",
    provenance="D",
    kind="proved inequality",
    otherwise="Only by a defect or a mistake in the derivation of section 5.13; it covers every start.",
    assumptions=(_EXACT_POLICY, "one state"),
    experiment="bandit-curve",
    rates=tuple(
        replace(BANDIT_RATE, name=name, where={"optimal_actions": number})
        for name, number in (("one optimal action", 1), ("four of them", 4))
    ),
)

CONTROL_BANDIT_CURVE = Claim(
    id="control-bandit-curve",
    statement="The same would hold with 2.2 kappa in the place of kappa; and 5/(k c_k²) with the summed "
    "probability of the optimal actions for c_k, where 30 of 40 actions are optimal.",
    source="docs/theory.md section 5.13",
    provenance="D",
    kind="proved inequality",
    otherwise="No: both statements are false in the limit of many steps, by a closed form.",
    assumptions=("none: the statements are false, and have to be found so",),
    experiment="control-bandit-curve",
    rates=(
        replace(BANDIT_RATE, name="2.2 times the gain", bound="planted_bound"),
        replace(BANDIT_RATE, name="summed probability", bound="bound_of_source"),
    ),
    expected="violated",
)

OUTER_CURVE_RATE = CurveRate(
    name="every path",
    x="iteration",
    y="stationarity",
    bound="bound",
    x_symbol="$T$",
    y_symbol=r"$\mathrm{mean}_{t\leq T}\,\|\nabla\Phi_\sigma(\phi_t)\|^2$",
)

OUTER_CURVE = Claim(
    id="outer-curve",
    statement="On every path, noise included, (1/T) sum ‖∇Phi_sigma(phi_t)‖² <= 2 (Phi_sigma(phi_1) - "
    "Phi_sigma(phi_{T+1}))/(eta T) + (1/T) sum ‖g_hat_t - ∇Phi_sigma(phi_t)‖² for eta <= 1/L",
    source="docs/theory.md section 5.13, after the first step of the proof in arXiv 2306.14853",
    provenance="D",
    kind="proved inequality",
    otherwise="Only by a defect, or where the smoothness measured on a path, times 1.5, is below that of "
    "the segments between its points: on the quadratic it is exact.",
    assumptions=(
        "∇Phi_sigma is Lipschitz on the path with the constant L; beyond eta = 1/L a third term is added",
    ),
    experiment="outer-curve",
    rates=(OUTER_CURVE_RATE,),
)

CONTROL_OUTER_CURVE = Claim(
    id="control-outer-curve",
    statement="Half of that bound would do, or the bound without the errors of the estimates; in one "
    "dimension the bound is an equality.",
    source="docs/theory.md section 5.13",
    provenance="D",
    kind="proved inequality",
    otherwise="No: an equality leaves no room for half of it.",
    assumptions=("none: the statements are false, and have to be found so",),
    experiment="control-outer-curve",
    rates=(
        replace(OUTER_CURVE_RATE, name="half of the bound", factor=0.5),
        replace(OUTER_CURVE_RATE, name="without errors", bound="bound_without_errors"),
    ),
    expected="violated",
)

OUTER_CURVE_MEAN_RATE = replace(
    OUTER_CURVE_RATE, name="mean over paths", bound="bound_in_mean", average=True
)

OUTER_CURVE_MEAN = Claim(
    id="outer-curve-mean",
    statement="In the mean over paths sampling errors count eta L times only: E (1/T) sum ‖∇Phi_sigma‖² "
    "<= E 2 (Phi_sigma(phi_1) - Phi_sigma(phi_{T+1}))/(eta T) + E (1/T) sum ‖inner error‖² + "
    "eta L E (1/T) sum ‖sampling error‖²",
    source="docs/theory.md section 5.13",
    provenance="D",
    kind="proved inequality",
    otherwise="Only by a defect: given the inner iterates the sampling error has mean 0.",
    assumptions=OUTER_CURVE.assumptions,
    experiment="outer-curve-mean",
    rates=(OUTER_CURVE_MEAN_RATE,),
)

CONTROL_OUTER_CURVE_MEAN = Claim(
    id="control-outer-curve-mean",
    statement="Half of the bound on the mean would do; where noise alone is left at half of the largest "
    "step it is 3/2 of the mean.",
    source="docs/theory.md section 5.13",
    provenance="D",
    kind="proved inequality",
    otherwise="No: the stationary variance of a quadratic in one dimension is a closed form.",
    assumptions=("none: the statement is false, and has to be found so",),
    experiment="control-outer-curve-mean",
    rates=(replace(OUTER_CURVE_MEAN_RATE, name="half of the bound", factor=0.5),),
    expected="violated",
)

INNER_ERROR_RATE = CurveRate(
    name="error of the estimate",
    x="inner_iteration",
    y="inner_error",
    bound="bound",
    x_symbol="$K$",
    y_symbol=r"$\|\hat g - \nabla\Phi_\sigma\|^2$",
)
DISTANCE_RATE = CurveRate(
    name="distance of the minimisers",
    x="sigma",
    y="distance",
    bound="distance_bound",
    x_symbol=r"$\sigma$",
    y_symbol=r"$\|y_\sigma - y^*\|$",
)

INNER_ERROR_CURVE = Claim(
    id="inner-error-curve",
    statement="With exact gradients, the step 1/(2 L_g) and sigma <= mu/2: ‖g_hat - ∇Phi_sigma‖² <= "
    "8 L_g² sigma^-2 exp(-mu K/(4 L_g)) D after K inner steps, D the squared distances of both starts to "
    "their minimisers",
    source="docs/theory.md section 5.13, with the constants of arXiv 2306.14853",
    provenance="D",
    kind="proved inequality",
    otherwise="Only by a defect or a mistake in the derivation of section 5.13.",
    assumptions=(
        "g is smooth with L_g in both variables together and grows quadratically with mu",
        "f is convex in y, and sigma times its smoothness is at most L_g",
    ),
    experiment="inner-error-curve",
    rates=(INNER_ERROR_RATE,),
)

PENALISED_DISTANCE = Claim(
    id="penalised-distance",
    statement="‖y_sigma - y*‖ <= ‖∂_y f(x, y*)‖ sigma/mu",
    source="docs/theory.md section 5.13, with the constant of arXiv 2306.14853",
    provenance="D",
    kind="proved inequality",
    otherwise="Only by a defect or a mistake in the derivation of section 5.13.",
    assumptions=("g grows quadratically with mu, f is convex in y",),
    experiment="inner-error-curve",
    rates=(DISTANCE_RATE,),
)

CONTROL_INNER_ERROR_CURVE = Claim(
    id="control-inner-error-curve",
    statement="Nine tenths of the error that the closed form of one coordinate gives would bound it.",
    source="docs/theory.md section 5.13",
    provenance="D",
    kind="proved inequality",
    otherwise="No: the starts are those at which the closed form is nearly attained.",
    assumptions=("none: the statement is false, and has to be found so",),
    experiment="control-inner-error-curve",
    rates=(replace(INNER_ERROR_RATE, bound="planted_bound"),),
    expected="violated",
)

CONTROL_PENALISED_DISTANCE = Claim(
    id="control-penalised-distance",
    statement="Half of ‖∂_y f(x, y*)‖ sigma/mu would bound ‖y_sigma - y*‖.",
    source="docs/theory.md section 5.13",
    provenance="D",
    kind="proved inequality",
    otherwise="No: in one coordinate the bound is larger by the share sigma/mu alone.",
    assumptions=("none: the statement is false, and has to be found so",),
    experiment="control-inner-error-curve",
    rates=(replace(DISTANCE_RATE, factor=0.5),),
    expected="violated",
)

WARM_START_RATE = CurveRate(
    name="every iteration",
    x="iteration",
    y="distances",
    bound="bound",
    x_symbol="$t$",
    y_symbol="$D_{t+1}$",
    where={"resolved": True},
)

WARM_START_CURVE = Claim(
    id="warm-start-curve",
    statement="With exact gradients, the step 1/(2 L_g) and K >= 8 L_g/mu: D_{t+1} <= D_t/2 + "
    "34 (L_g/mu)² ‖x_{t+1} - x_t‖², D the squared distances of both inner iterates to their minimisers",
    source="docs/theory.md section 5.13, with the constants of arXiv 2306.14853",
    provenance="D",
    kind="proved inequality",
    otherwise="Only by a defect or a mistake in the derivation of section 5.13.",
    assumptions=INNER_ERROR_CURVE.assumptions,
    experiment="warm-start-curve",
    rates=(WARM_START_RATE,),
)

CONTROL_WARM_START_CURVE = Claim(
    id="control-warm-start-curve",
    statement="The same would hold with nine tenths of the coefficient that one coordinate needs.",
    source="docs/theory.md section 5.13",
    provenance="D",
    kind="proved inequality",
    otherwise="No: the first move from solved loops has that coefficient, by a closed form.",
    assumptions=("none: the statement is false, and has to be found so",),
    experiment="control-warm-start-curve",
    rates=(replace(WARM_START_RATE, bound="planted_bound"),),
    expected="violated",
)

WITH_KL_RATE = CurveRate(
    name="with KL",
    x="iteration",
    y="gap",
    bound="predicted",
    x_symbol="$t$, or steps",
    y_symbol="$J^* - J$",
    where={"objective": "with KL", "resolved": True},
)
WITHOUT_KL_RATE = replace(
    WITH_KL_RATE, name="without KL", where={"objective": "without KL", "resolved": True}
)

PREDICTED_DOMINATION = Claim(
    id="predicted-domination",
    statement="J* - J <= ‖∂_lambda J‖²/C(lambda)² with a KL term (5.4), and <= ‖w*/(w pi(a*))‖_2 "
    "‖∂_lambda J‖ without, at every iterate of a run: weak gradient domination with a predicted constant",
    source="docs/theory.md section 5.13; without KL it implies arXiv 2005.06392, Lemma 8",
    provenance="D",
    kind="proved inequality",
    otherwise="Only by a defect or a mistake in the derivations of sections 5.4 and 5.13, which cover "
    "every policy.",
    assumptions=("tabular softmax policy", "every state that is decided in is reached"),
    experiment="predicted-domination",
    rates=(WITH_KL_RATE, WITHOUT_KL_RATE),
)

CONTROL_PREDICTED_DOMINATION = Claim(
    id="control-predicted-domination",
    statement="0.45 of the bound with a KL term would do, and half of that without; at two actions of "
    "nearly equal reward the first is loose by a factor 2, the second by the root of 2.",
    source="docs/theory.md section 5.13",
    provenance="D",
    kind="proved inequality",
    otherwise="No: both statements are false at two actions, by a closed form.",
    assumptions=("none: the statements are false, and have to be found so",),
    experiment="control-predicted-domination",
    rates=(replace(WITH_KL_RATE, factor=0.45), replace(WITHOUT_KL_RATE, factor=0.5)),
    expected="violated",
)
