"""The columns of a trace: name, unit, source."""

from __future__ import annotations

from types import MappingProxyType

COLUMNS = MappingProxyType(
    {
        "seed": "seed of the replicate",
        "iteration": "outer iteration t = 1 .. T; the row describes x_t, the point at which the "
        "t-th hypergradient estimate is formed",
        "env_steps": "environment steps drawn by then",
        "trajectories": "rollouts drawn by then, compared ones included",
        "labels": "preference labels drawn by then",
        "samples": "trajectories plus labels drawn by then: what a complexity claim counts",
        "exact_calls": "exact quantities asked for by then, by methods that are defined with them",
        "hyperobjective": "Phi(phi_t), nats (section 1)",
        "optimality_gap": "Phi(phi_t) - Phi*, nats; NaN where Phi* is neither declared nor certified",
        "stationarity": "|grad Phi(phi_t)|^2, squared norm (section 2)",
        "ergodic_stationarity": "mean of stationarity over iterations 1 .. t, squared norm "
        "(section 5, outer-ergodic)",
        "half_stationarity": "mean of stationarity over iterations t/2 < s <= t, squared norm "
        "(section 5.1)",
        "hypergradient_error": "|estimate - grad Phi|^2, squared norm",
        "penalty_bias": "|grad Phi_sigma - grad Phi|^2, squared norm (section 3)",
        "inner_error": "|E[estimate | inner iterates] - grad Phi_sigma|^2, squared norm",
        "sampling_error": "|estimate - E[estimate | inner iterates]|^2, squared norm",
        "lower_gap": "J* - J(lambda_t), reward units (section 2)",
        "lower_gap_penalised": "h_sigma(lambda'_t) - min h_sigma, reward units (section 3)",
        "reward_error": "mean square of r_phi - r* over states and actions, after projecting out "
        "every reward change that no comparison can see (section 1)",
        "policy_regret": "J* - J(lambda_t) under the true reward, reward units",
        "true_return": "E_pi[sum_h gamma^h r*] of pi_{lambda_t}, without a KL term, reward units",
        "min_policy_probability": "smallest action probability of pi_{lambda_t}",
        "status": "'ok', 'diverged' or 'budget exhausted'",
    }
)
