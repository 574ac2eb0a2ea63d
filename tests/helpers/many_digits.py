"""The hypergradient of a discounted problem in many digits, by soft value iteration's fixed point.

Nothing is centred or bordered: with 90 digits, values of size ``1/(1-gamma)`` may be subtracted. What
rounding leaves of the sum of a row of probabilities is divided out first; it would count
``1/(1-gamma)`` times. The derivative of the optimal policy is that of the fixed point itself, by
implicit differentiation; nothing is shared with the package.
"""

from __future__ import annotations

from itertools import product

import mpmath
from mpmath import mpf

from theory_check.problems import Problem

DIGITS = 90


def hypergradient(problem: Problem, phi: list[float]) -> list[float]:
    """Return ``∇Phi`` at ``phi`` for linear rewards and segments of one step, rounded to float64."""
    with mpmath.workdps(DIGITS):
        return [float(entry) for entry in _gradient(problem, [mpf(entry) for entry in phi])]


def _gradient(problem: Problem, phi: list[mpf]) -> list[mpf]:
    features = problem.features.tolist()
    states, actions, size = range(problem.states), range(problem.actions), range(len(phi))
    gamma, beta = mpf(problem.discount), mpf(problem.kl_weight)
    kernel = [[_law(row) for row in rows] for rows in problem.transitions.tolist()]
    log_reference = [
        [mpmath.log(entry) for entry in row] for row in problem.reference_policy[0].tolist()
    ]
    reward = [[sum(mpf(features[s][a][i]) * phi[i] for i in size) for a in actions] for s in states]
    true = [[mpf(entry) for entry in row] for row in problem.true_reward.tolist()]

    value = _optimal_values(kernel, log_reference, reward, gamma, beta)
    log_policy = _soft_greedy(kernel, log_reference, reward, gamma, beta, value)
    policy = [[mpmath.exp(entry) for entry in row] for row in log_policy]
    moves = mpmath.matrix(
        [[sum(policy[s][a] * kernel[s][a][t] for a in actions) for t in states] for s in states]
    )
    system = mpmath.eye(len(states)) - gamma * moves
    inverse = mpmath.inverse(system)
    initial = mpmath.matrix([_law(problem.initial.tolist())])
    occupancy = (1 - gamma) * initial * inverse

    # Derivatives of values, of log pi*, and of the occupancy, in each parameter.
    law = {(s, a): occupancy[s] * policy[s][a] for s, a in product(states, actions)}
    gradient = []
    for i in size:
        earned = mpmath.matrix(
            [sum(policy[s][a] * mpf(features[s][a][i]) for a in actions) for s in states]
        )
        d_value = inverse * earned
        d_log_policy = [
            [
                (
                    mpf(features[s][a][i])
                    + gamma * sum(kernel[s][a][t] * d_value[t] for t in states)
                    - d_value[s]
                )
                / beta
                for a in actions
            ]
            for s in states
        ]
        arriving = mpmath.matrix(
            [
                [
                    gamma
                    * sum(
                        law[s, a] * d_log_policy[s][a] * kernel[s][a][t]
                        for s, a in product(states, actions)
                    )
                    for t in states
                ]
            ]
        )
        d_occupancy = arriving * inverse
        d_law = {
            (s, a): d_occupancy[s] * policy[s][a] + law[s, a] * d_log_policy[s][a] for s, a in law
        }
        slope = mpf(0)
        for one, two in product(law, law):
            difference = reward[one[0]][one[1]] - reward[two[0]][two[1]]
            preferred = 1 / (1 + mpmath.exp(true[two[0]][two[1]] - true[one[0]][one[1]]))
            model = 1 / (1 + mpmath.exp(-difference))
            loss = -preferred * mpmath.log(model) - (1 - preferred) * mpmath.log(1 - model)
            if problem.objective == "excess_risk":
                loss += preferred * mpmath.log(preferred)
                loss += (1 - preferred) * mpmath.log(1 - preferred)
            change = mpf(features[one[0]][one[1]][i]) - mpf(features[two[0]][two[1]][i])
            slope += 2 * d_law[one] * law[two] * loss
            slope += law[one] * law[two] * (model - preferred) * change
        gradient.append(slope)
    return gradient


def _law(row: list[float]) -> list[mpf]:
    """Return probabilities that add up to 1 also in many digits."""
    total = sum(mpf(entry) for entry in row)
    return [mpf(entry) / total for entry in row]


def _soft_greedy(kernel, log_reference, reward, gamma, beta, value):  # type: ignore[no-untyped-def]
    """Return the logarithms of the policy that is soft-greedy for state values."""
    logs = []
    for s, moves in enumerate(kernel):
        ahead = [sum(p * v for p, v in zip(row, value, strict=True)) for row in moves]
        scaled = [
            log_reference[s][a] + (reward[s][a] + gamma * ahead[a]) / beta
            for a in range(len(moves))
        ]
        top = max(scaled)
        total = top + mpmath.log(sum(mpmath.exp(entry - top) for entry in scaled))
        logs.append([entry - total for entry in scaled])
    return logs


def _optimal_values(kernel, log_reference, reward, gamma, beta):  # type: ignore[no-untyped-def]
    """Return the fixed point of the soft Bellman equations, by Newton's method on values."""
    states, actions = range(len(kernel)), range(len(kernel[0]))
    value = [mpf(0) for _ in states]
    for _ in range(200):
        policy, expected = [], []
        greedy = _soft_greedy(kernel, log_reference, reward, gamma, beta, value)
        for s, logs in enumerate(greedy):
            policy.append([mpmath.exp(entry) for entry in logs])
            expected.append(
                sum(
                    policy[s][a] * (reward[s][a] - beta * (logs[a] - log_reference[s][a]))
                    for a in actions
                )
            )
        system = mpmath.matrix(
            [
                [
                    (s == t) - gamma * sum(policy[s][a] * kernel[s][a][t] for a in actions)
                    for t in states
                ]
                for s in states
            ]
        )
        latest = list(mpmath.lu_solve(system, mpmath.matrix(expected)))
        change = max(abs(new - old) for new, old in zip(latest, value, strict=True))
        value = latest
        if change < mpf(10) ** (-DIGITS // 2 - 10):
            return value
    raise AssertionError("no fixed point in 200 iterations")
